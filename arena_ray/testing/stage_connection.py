"""How a plugin's function asks for things on a stage: answered at once, with time passing where it waits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arena_ray.host.connection import Connection
from arena_ray.model.errors import ArenaError, PluginMistake
from arena_ray.model.records import JournalEntry
from arena_ray.orchestrator.plugin_calls import PluginCalls
from arena_ray.plugin.protocol import PluginStopped
from arena_ray.runner.process import Exit
from arena_ray.runner.wire import Message
from arena_ray.scheduling.conversation import Conversation
from arena_ray.scheduling.journal import Journal
from arena_ray.scheduling.plugin_port import Call
from arena_ray.scheduling.waits import LONGEST_PAUSE_S
from arena_ray.testing.stage_records import StageRecords
from arena_ray.testing.stage_study import StageStudy

CALL_S = 0.01
"""How long a call takes by the stage's clock, so that a function that only looks sees its runs train."""


class CutShort(BaseException):
    """Leaves the plugin's function past its ``except Exception``: the test has failed, for this reason."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class ReplayDiffers(AssertionError):
    """The function asked for something else when it was called again with the same answers."""


@dataclass(frozen=True)
class Stop:
    """When the user stops the plugin: at a call, counted from 0, or after so much time."""

    call: int | None = None
    seconds: float = math.inf


class _Line:
    """What would be the wire to the plugin's process: keeps the answer."""

    is_open = True
    answer: Message | None = None

    def receive(self, timeout_s: float) -> Message | None:
        return None

    def send(self, kind: str, **keys: Any) -> None:
        self.answer = travelled(keys)

    def forget(self) -> None:
        """Forget the answer to a call that a stop has cut short."""
        self.answer = None


@dataclass
class _NoProcess:
    wire: _Line

    def kill(self) -> None:
        return

    def end(self, *, grace_s: float = 0.0) -> Exit:
        return Exit(exit_code=0, signal=0)


class SteeringConnection(Connection):
    """Answers a plugin with scope experiment as its driver does.

    Args:
        records: What the stage keeps.
        calls: Carries out what is called.
        stop: When the user stops the plugin.
        most_calls: After so many a function is taken for one that never ends.
    """

    def __init__(self, records: StageRecords, calls: PluginCalls, *, stop: Stop, most_calls: int) -> None:
        super().__init__()
        self._records = records
        self._line = _Line()
        self._conversation = Conversation(
            _NoProcess(self._line), records.execution, calls, "", Journal(), clock=records.clock, utc=records.clock.utc
        )
        self._stop = stop
        self._most_calls = most_calls
        self._study: StageStudy | None = None
        self._is_settled = False
        self.journal: list[JournalEntry] = []
        """All calls that were answered."""
        self.stopped_at: int | None = None
        """The call at which the user has stopped the plugin."""

    def _ask(self, call: Message, *, until_stopped: bool) -> Message:
        number, begun, self._is_settled = call["number"], self._records.clock.utc(), False
        if number >= self._most_calls:
            why = f"the plugin has made {self._most_calls:,} calls and not ended; stop it, or allow more by most_calls"
            raise CutShort(AssertionError(why))
        self._pass_to(self._records.clock.seconds + CALL_S, number)
        self._leave_if_stopped(until_stopped)
        self._line.forget()
        mistake = self._conversation.answer(travelled(call))
        assert mistake is None, "no call is recorded before it is made"
        while (answer := self._line.answer) is None:
            self._go_on(number)
            self._leave_if_stopped(until_stopped)  # the stop is told before the runs have ended of it
        told = {"method": call["method"], "arguments": travelled(call["arguments"])}
        told |= {"answer": answer["answer"], "error": answer["error"]}
        self.journal.append(JournalEntry(number=number, created_at=begun, ended_at=self._records.clock.utc(), **told))
        return answer

    def _leave_if_stopped(self, until_stopped: bool) -> None:
        if until_stopped and self.stopping.is_set():
            raise PluginStopped

    def _go_on(self, number: int) -> None:
        """Let what the call waits for come nearer."""
        if self._conversation.awaits_study:
            self._go_on_with_study(number)
            return
        wait = self._conversation.wait
        assert wait is not None, "a call was neither answered nor does it wait"
        self._pass_to(self._next_moment(wait.until), number)
        self._conversation.look_at_wait()

    def _go_on_with_study(self, number: int) -> None:
        try:
            if self._study is None:
                self._study = StageStudy(self._conversation.studies.get_nowait(), self._records)
            result = self._study.go_on()
        except ArenaError as exc:
            self._conversation.answer_study(exc)
            return
        if result is not None:
            self._conversation.answer_study(result)
        else:
            self._pass_to(self._next_moment(None), number)

    def _next_moment(self, until: float | None) -> float:
        """Return when something changes next."""
        now = self._records.clock.seconds
        moments = [until, self._records.next_event_s, self._stop.seconds]
        ahead = [moment for moment in moments if moment is not None and now < moment < math.inf]
        if ahead:
            self._is_settled = False
            return min(ahead)
        if not self._is_settled:  # who waits looks only so often, and may not have seen the last change
            self._is_settled = True
            return now + LONGEST_PAUSE_S
        hanging = [run.record.name for run in self._records.staged if not run.record.state.is_final]
        raise CutShort(
            AssertionError(
                f"the plugin waits for {', '.join(hanging)}, which never ends: it should give timeout_minutes, "
                "or the test should stop it, with run(stop_after_minutes=…)"
            )
        )

    def _pass_to(self, seconds: float, number: int) -> None:
        if self.stopping.is_set():
            return
        try:
            self._records.pass_to(min(seconds, self._stop.seconds))
        except Exception as exc:
            raise CutShort(exc) from exc  # the function that stands for the script has a mistake
        if self._stop.call == number or self._records.clock.seconds >= self._stop.seconds:
            self.stopped_at = number
            self.stopping.set()
            for run in self._records.staged:
                self._records.stop_run(run.record.run_id, "stopped by the user")


class LookingConnection(Connection):
    """Answers a plugin with scope run or revision; *carry_out* does what it calls."""

    def __init__(self, carry_out: Callable[[Call], tuple[Any, dict[str, str] | None]]) -> None:
        super().__init__()
        self._carry_out = carry_out

    def _ask(self, call: Message, *, until_stopped: bool) -> Message:
        told = travelled(call)
        answer, error = self._carry_out(Call(number=None, method=told["method"], arguments=told["arguments"]))
        return travelled({"answer": answer, "error": error})


class ReplayConnection(Connection):
    """Answers from a journal alone, as after the death of a plugin's process.

    Args:
        journal: What was called before.
        stopped_at: The call at which the user had stopped the plugin.
    """

    def __init__(self, journal: Sequence[JournalEntry], *, stopped_at: int | None) -> None:
        super().__init__()
        self._entries = journal
        self._journal = Journal(journal)
        self._stopped_at = stopped_at
        self._answered = 0
        self.is_repeating = True

    def _ask(self, call: Message, *, until_stopped: bool) -> Message:
        if call["number"] == self._stopped_at:
            self.stopping.set()
            if until_stopped:
                raise PluginStopped
        told = Call.model_validate({key: travelled(call)[key] for key in ("number", "method", "arguments")})
        try:
            entry = self._journal.recall(told, where=call["where"])
        except PluginMistake as exc:
            raise CutShort(ReplayDiffers(str(exc))) from exc
        if entry is None:
            text = f"call {told.number} of the plugin ({call['where']}) is {told.method} {told.arguments} now"
            raise CutShort(ReplayDiffers(f"{text}, and the function had ended there before"))
        self._answered += 1
        return {"answer": entry.answer, "error": entry.error, "is_recorded": True}

    def require_end(self) -> None:
        """Refuse that the function has ended before it came to the end of the journal.

        Raises:
            ReplayDiffers: It has.
        """
        if self._answered < len(self._entries):
            call = self._entries[self._answered]
            raise ReplayDiffers(
                f"the plugin ended after {self._answered} calls, and before it went on with {call.method} "
                f"{call.arguments}; it must not depend on the time, on chance or on files that change"
            )


def travelled(keys: Mapping[str, Any]) -> Message:
    """Return *keys* as they come out of a wire.

    Raises:
        TypeError: JSON cannot hold them.
    """
    message: Message = json.loads(json.dumps(keys))
    return message
