"""The conversation with a plugin's process: its calls are carried out one after the other, and answered."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import ray

from arena_ray.model.errors import ArenaError, PluginMistake, RegistryError, StaleDriver
from arena_ray.model.records import Execution
from arena_ray.plugin.study import Study, StudyResult, study_from_data
from arena_ray.runner.process import Exit
from arena_ray.runner.wire import Message, Wire
from arena_ray.scheduling.plugin_port import NoteOrder, PluginPort, RevisionOrder, RunOrder

LOOK_S = 0.2
REGISTRY_PATIENCE_S = 60.0
RETRY_S = 1.0

log = logging.getLogger(__name__)


class Host(Protocol):
    """The process of a plugin."""

    @property
    def wire(self) -> Wire:
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
    """

    host: Host
    execution: Execution
    port: PluginPort
    driver: str
    studies: queue.SimpleQueue[Study] = field(default_factory=queue.SimpleQueue)
    """What it wants tuned; answered by :meth:`answer_study`."""
    has_runs: bool = False
    """Whether it starts runs itself."""
    _has_revisions: bool = False
    _study_call: Any = None

    def hold(self) -> Message:
        """Answer until the process has ended; return what it said last, or how it ended without a word.

        Raises:
            StaleDriver: Another driver has taken over.
        """
        wire = self.host.wire
        while True:
            message = wire.receive(LOOK_S)
            if message is None:
                if wire.is_open:
                    continue
                how = self.host.end()
                return {"outcome": "failed", "reason": f"the plugin's process ended without a word: {how}"}
            kind = message.get("type") if isinstance(message, dict) else None
            if kind == "ended":
                return message
            if kind == "call":
                self._answer(message)

    def _answer(self, message: Message) -> None:
        number, method = message.get("id"), str(message.get("method"))
        try:
            result = self._try(method, message.get("keys") or {}, number=number)
        except (StaleDriver, RegistryError, ray.exceptions.RayError):
            raise  # not the plugin's fault: another driver has taken over, or goes on from here
        except ArenaError as exc:
            self._refuse(number, exc)
        except Exception as exc:
            log.exception("call %s of plugin %s failed", method, self.execution.plugin)
            self._refuse(number, PluginMistake(f"{method} cannot be carried out: {type(exc).__name__}: {exc}"))
        else:
            if method != "tune":
                self.host.wire.send("answer", id=number, result=result)

    def _try(self, method: str, keys: dict[str, Any], *, number: Any) -> Any:
        """Carry a call out; where the registry cannot be reached for a while, try again."""
        deadline = time.monotonic() + REGISTRY_PATIENCE_S
        while True:
            try:
                return self._carry_out(method, keys, number=number)
            except RegistryError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_S)

    def _refuse(self, number: Any, error: ArenaError) -> None:
        self.host.wire.send("answer", id=number, error={"kind": type(error).__name__, "message": str(error)})

    def _carry_out(self, method: str, keys: dict[str, Any], *, number: Any) -> Any:
        handlers: dict[str, Callable[..., Any]] = {
            "add_revision": self._add_revision,
            "start_run": self._start_run,
            "add_note": self._add_note,
            "runs": self._runs,
            "find": self._find,
            "log_tail": self.port.log_tail,
        }
        if method == "tune":
            return self._tune(keys, number)
        if method not in handlers:
            raise PluginMistake(f"there is no call {method!r}")
        return handlers[method](**keys)

    def _add_revision(self, **keys: Any) -> dict[str, Any]:
        order = RevisionOrder.model_validate(keys)
        if self._study_call is not None:
            raise PluginMistake("a revision was made after api.tune; an execution does one of the two")
        self._has_revisions = True
        made = self.port.add_revision(self.execution.execution_id, order, driver=self.driver)
        return made.model_dump(mode="json")

    def _start_run(self, **keys: Any) -> dict[str, Any]:
        if self._study_call is not None:
            raise PluginMistake("api.create_run was called after api.tune; an execution does one of the two")
        order = RunOrder.model_validate(keys)
        run = self.port.start_run(self.execution.execution_id, order, driver=self.driver)
        self.has_runs = True
        return run.model_dump(mode="json")

    def _add_note(self, **keys: Any) -> None:
        self.port.add_note(self.execution.execution_id, NoteOrder.model_validate(keys), driver=self.driver)

    def _runs(self, *, run_ids: list[str]) -> list[dict[str, Any]]:
        return [run.model_dump(mode="json") for run in self.port.list_runs(run_ids)]

    def _find(self, *, kind: str) -> list[dict[str, Any]]:
        return [row.model_dump(mode="json") for row in self.port.find(self.execution.experiment_id, kind)]

    def _tune(self, keys: dict[str, Any], number: Any) -> None:
        if self._study_call is not None:
            raise PluginMistake("api.tune was called a second time; an execution has one study")
        if self.has_runs or self._has_revisions:
            raise PluginMistake(
                "api.tune was called after a revision or a run was made; an execution does one of the two: "
                "what all runs of a study have in common stands in the experiment file"
            )
        study = study_from_data(keys["study"])
        self._study_call = number
        self.studies.put(study)

    def answer_study(self, result: StudyResult | ArenaError) -> None:
        """Tell the plugin how its study ended."""
        assert self._study_call is not None, "nobody asked for a study"
        if isinstance(result, ArenaError):
            self._refuse(self._study_call, result)
        else:
            self.host.wire.send("answer", id=self._study_call, result=result.model_dump(mode="json"))
