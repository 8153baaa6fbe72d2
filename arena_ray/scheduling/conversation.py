"""The conversation with a plugin's process: its calls are carried out one after the other, and answered.

What the execution's function has called before, in a process that is gone, is answered from the journal.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from arena_ray.model.errors import ArenaError, PluginMistake
from arena_ray.model.records import Execution, JournalEntry
from arena_ray.plugin.study import Study, StudyResult, study_from_data
from arena_ray.runner.process import Exit
from arena_ray.runner.wire import Message
from arena_ray.scheduling.journal import Journal
from arena_ray.scheduling.plugin_port import Call, PluginPort, told
from arena_ray.scheduling.waits import Wait, open_wait, utc_now

LOOK_S = 0.2


class Line(Protocol):
    """One end of a wire."""

    @property
    def is_open(self) -> bool:
        """Whether something may come yet."""
        ...

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next message, or None after so long or at the wire's end."""
        ...

    def send(self, kind: str, **keys: Any) -> None:
        """Say something."""
        ...


class Host(Protocol):
    """The process of a plugin."""

    @property
    def wire(self) -> Line:
        """What it says, and is told."""
        ...

    def kill(self) -> None:
        """Kill it without waiting."""
        ...

    def end(self, *, grace_s: float = 0.0) -> Exit:
        """End it and all that it started."""
        ...


@dataclass
class Conversation:
    """Talks with one plugin's process until that has ended.

    Args:
        host: The process.
        execution: What it carries out.
        port: Where its wishes go.
        driver: The driver's token.
        journal: What its function has called before.
        clock: Tells seconds.
        utc: Tells the moment.
    """

    host: Host
    execution: Execution
    port: PluginPort
    driver: str
    journal: Journal
    clock: Callable[[], float] = time.monotonic
    utc: Callable[[], datetime] = utc_now
    studies: queue.SimpleQueue[Study] = field(default_factory=queue.SimpleQueue)
    """What it wants tuned; answered by :meth:`answer_study`."""
    has_runs: bool = False
    """Whether it starts runs itself."""
    troubles: list[str] = field(default_factory=list)
    """What went wrong though the function may not have looked."""
    _has_revisions: bool = False
    _study_call: int | None = None
    _has_study: bool = False
    _wait: tuple[int, Wait] | None = None

    def hold(self) -> Message:
        """Answer until the process has ended; return what it said last, or how it ended without a word.

        Raises:
            StaleDriver: Another driver has taken over.
        """
        wire = self.host.wire
        while True:
            message = wire.receive(min(LOOK_S, self._wait[1].pause_s) if self._wait else LOOK_S)
            if message is None:
                if wire.is_open:
                    self.look_at_wait()
                    continue
                how = self.host.end()
                outcome = "killed" if how.signal else "failed"
                return {"outcome": outcome, "reason": f"the plugin's process ended without a word: {how}"}
            kind = message.get("type") if isinstance(message, dict) else None
            if kind == "ended":
                return message
            if kind == "call" and (mistake := self.answer(message)) is not None:
                return {"outcome": "failed", "reason": mistake}

    def answer(self, message: Message) -> str | None:
        """Answer a call, now or later; return what is wrong where it is not the one that the journal has there."""
        self._wait = None  # the call before it, if it waited, was cut short by a stop
        try:
            call = Call.model_validate({key: message.get(key) for key in ("number", "method", "arguments")})
        except ValueError:
            return None  # nonsense; there is nothing to answer to
        try:
            recorded = self.journal.recall(call, where=str(message.get("where", "?")))
        except PluginMistake as exc:
            return str(exc)
        try:
            self._look_after(call)
            if recorded is not None and recorded.ended_at is not None:
                self._reply(call, recorded, is_recorded=True)
            elif call.method in ("wait", "wait_for_completion", "tune"):
                self._begin(call, recorded or self._open(call))
            else:
                self._reply(call, self._carry_out(call))
        except PluginMistake as exc:
            self._refuse(call, exc)
        return None

    def _look_after(self, call: Call) -> None:
        """Keep apart executions that tune, and those that make their runs themselves.

        Raises:
            PluginMistake: The call makes this one both.
        """
        if call.method == "tune":
            if self._has_study:
                raise PluginMistake("api.tune was called a second time; an execution has one study")
            if self.has_runs or self._has_revisions:
                raise PluginMistake(
                    "api.tune was called after a revision or a run was made; an execution does one of the two: "
                    "what all runs of a study have in common stands in the experiment file"
                )
            self._has_study = True
        elif call.method in ("add_revision", "start_run"):
            if self._has_study:
                raise PluginMistake(f"{call.method} was called after api.tune; an execution does one of the two")
            self._has_revisions = True

    def _carry_out(self, call: Call) -> JournalEntry:
        return self.port.carry_out(self.execution.execution_id, call, driver=self.driver)

    def _open(self, call: Call) -> JournalEntry:
        return self.port.open_call(self.execution.execution_id, call, driver=self.driver)

    def _begin(self, call: Call, entry: JournalEntry) -> None:
        assert call.number is not None
        try:
            if call.method == "tune":
                study = study_from_data(call.arguments["study"])
                self._study_call = call.number
                self.studies.put(study)
            else:
                wait = open_wait(entry, self.execution, self.port, self.driver, now=self.utc(), clock=self.clock)
                self._wait = call.number, wait
        except (ArenaError, ValueError, KeyError, TypeError) as exc:
            self._end(call.number, exc if isinstance(exc, ArenaError) else PluginMistake(f"{call.method}: {exc}"))

    @property
    def wait(self) -> Wait | None:
        """What the plugin waits for, but for a study."""
        return self._wait[1] if self._wait else None

    def look_at_wait(self) -> None:
        """Answer the call that waits for something, if that is over."""
        if self._wait is None:
            return
        number, wait = self._wait
        if wait.is_over():
            self._wait = None
            self.troubles += wait.troubles
            self._end(number, wait.answer)

    def _reply(self, call: Call, entry: JournalEntry, *, is_recorded: bool = False) -> None:
        if call.method == "start_run" and entry.error is None:
            self.has_runs = True
        if is_recorded and call.method == "wait_for_completion" and entry.error is None:
            self.troubles += entry.answer["late"]
        self._tell(call.number, entry.answer, entry.error, is_recorded)

    def _tell(self, number: int | None, answer: Any, error: dict[str, str] | None, is_recorded: bool = False) -> None:
        self.host.wire.send("answer", number=number, answer=answer, error=error, is_recorded=is_recorded)

    def _refuse(self, call: Call, error: ArenaError) -> None:
        self._tell(call.number, None, told(error))

    def _end(self, number: int, result: Any) -> None:
        """Write the answer of a call down that has waited, then give it."""
        answer, error = (None, told(result)) if isinstance(result, ArenaError) else (result, None)
        self.port.end_call(self.execution.execution_id, number, driver=self.driver, answer=answer, error=error)
        self._tell(number, answer, error)

    @property
    def awaits_study(self) -> bool:
        """Whether the plugin waits for its study."""
        return self._study_call is not None

    def answer_study(self, result: StudyResult | ArenaError) -> None:
        """Tell the plugin how its study ended."""
        assert self._study_call is not None, "nobody asked for a study"
        number, self._study_call = self._study_call, None
        self._end(number, result if isinstance(result, ArenaError) else result.model_dump(mode="json"))
