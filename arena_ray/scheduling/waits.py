"""What a plugin's function waits for: time, steps, or the ends of runs. A wait outlasts the driver that began it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from arena_ray.model.errors import NotFound, PluginMistake
from arena_ray.model.records import Execution, JournalEntry, Run
from arena_ray.scheduling.plugin_port import Call, PluginPort

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.5


class Wait(Protocol):
    """Something that will be over."""

    pause_s: float
    """When to look again."""
    answer: Any
    """As JSON, once it is over."""
    troubles: list[str]
    """What the execution's reason is to say of it."""

    @property
    def until(self) -> float | None:
        """The moment that it waits for, by its clock; None where there is none."""
        ...

    def is_over(self) -> bool:
        """Look; to be called again after ``pause_s``."""
        ...


def utc_now() -> datetime:
    """Return this moment, in UTC."""
    return datetime.now(UTC)


def open_wait(
    entry: JournalEntry,
    execution: Execution,
    port: PluginPort,
    driver: str,
    *,
    now: datetime,
    clock: Callable[[], float] = time.monotonic,
) -> Wait:
    """Return what the call waits for. Its time counts from when it was called first; *now* it is seen how long ago.

    Raises:
        PluginMistake: It cannot be waited for.
        NotFound: A run is not of this experiment.
    """
    waited_s = max(0.0, (now - entry.created_at).total_seconds())
    if entry.method == "wait_for_completion":
        return _Ends(entry.arguments, execution, port, driver, waited_s=waited_s, clock=clock)
    return _Moment(entry, port, waited_s=waited_s, clock=clock)


class _Looks:
    """Looks at runs, at first often, then less so."""

    def __init__(self, port: PluginPort, clock: Callable[[], float]) -> None:
        self._port = port
        self.clock = clock
        self.pause_s = FIRST_PAUSE_S
        self.until: float | None = None
        self.troubles: list[str] = []
        self.answer: Any = None
        self._next = 0.0

    def is_due(self) -> bool:
        """Return whether it is time to look."""
        if self.clock() < self._next:
            return False
        self._next = self.clock() + self.pause_s
        self.pause_s = min(LONGEST_PAUSE_S, self.pause_s * 1.5)
        return True

    def runs(self, run_ids: list[str]) -> list[Run]:
        return self._port.list_runs(run_ids)


class _Ends(_Looks):
    """Runs that are to come to their ends."""

    def __init__(
        self,
        arguments: dict[str, Any],
        execution: Execution,
        port: PluginPort,
        driver: str,
        *,
        waited_s: float,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(port, clock)
        self._execution, self._driver = execution, driver
        self._run_ids: list[str] = arguments["run_ids"]
        self._minutes: float | None = arguments["timeout_minutes"]
        self.until = None if self._minutes is None else self.clock() + self._minutes * 60.0 - waited_s
        foreign = [run.name for run in self.runs(self._run_ids) if run.experiment_id != execution.experiment_id]
        if foreign:
            raise NotFound("run", f"{', '.join(foreign)} in experiment {execution.experiment}")

    def is_over(self) -> bool:
        if not self.is_due():
            return False
        runs = self.runs(self._run_ids)
        late = [run for run in runs if not run.state.is_final]
        if late and (self.until is None or self.clock() < self.until):
            return False
        for run in late:
            text = f"gave up waiting for {run.name} after {self._minutes:g} min: it is {run.state.value}"
            self.troubles.append(text)
            note = {"call": f"gave up on {run.run_id}", "text": f"⚠️ {text}", "run_id": run.run_id}
            call = Call(number=None, method="add_note", arguments=note)
            self._port.carry_out(self._execution.execution_id, call, driver=self._driver)
        ends = {run.run_id: run.state.value if run.state.is_final else "timed_out" for run in runs}
        self.answer = {"ends": ends, "late": self.troubles}
        return True


class _Moment(_Looks):
    """A moment, or so many steps of the execution's runs."""

    def __init__(self, entry: JournalEntry, port: PluginPort, *, waited_s: float, clock: Callable[[], float]) -> None:
        super().__init__(port, clock)
        seconds, self._steps = float(entry.arguments["seconds"]), int(entry.arguments["steps"])
        if seconds < 0 or self._steps < 0:
            raise PluginMistake("api.wait takes neither time nor steps below 0")
        self.until: float = self.clock() + seconds - waited_s
        self._own: dict[str, int] = entry.answer
        if self._steps and not self._own:
            raise PluginMistake("api.wait was to wait for steps before this execution has started a run")

    def is_over(self) -> bool:
        if self.clock() < self.until:
            self.pause_s = min(LONGEST_PAUSE_S, max(0.001, self.until - self.clock()))
            return False
        if not self._steps:
            return True
        if not self.is_due():
            return False
        runs = self.runs(list(self._own))
        return all(run.state.is_final or run.global_step >= self._own[run.run_id] + self._steps for run in runs)
