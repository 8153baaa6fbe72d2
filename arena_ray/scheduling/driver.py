"""Takes care of one experiment's runs: what the registry says must run gets a trial, what must not, loses it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from arena_ray.model.records import Execution
from arena_ray.model.spec import Resources
from arena_ray.model.states import ExecutionState, RunState, Scope
from arena_ray.scheduling.execution import ExecutionDriver
from arena_ray.scheduling.milestones import Course
from arena_ray.scheduling.port import Port, RunToDrive
from arena_ray.scheduling.study_runs import Trials
from arena_ray.scheduling.watch import Watch, Watchable

POLL_INTERVAL_S = 0.5
IDLE_S = 10.0


class News(Protocol):
    """Says that the registry has changed: a ``threading.Event``."""

    def is_set(self) -> bool:
        """Whether it has."""
        ...

    def clear(self) -> None:
        """Take note of it."""
        ...

    def wait(self, timeout: float) -> bool:
        """Wait until it does, but not for longer than *timeout* seconds."""
        ...


class Engine(Trials, Watchable, Protocol):
    """What the driver asks of :class:`~arena_ray.scheduling.tune_engine.TuneEngine`."""

    def add(
        self,
        run_id: str,
        *,
        name: str,
        resources: Resources,
        scheduler: Any | None = None,
        course: Course | None = None,
    ) -> None:
        """Queue the run."""
        ...

    def is_waiting(self, run_id: str) -> bool:
        """Whether the run's trial has no actor yet, or is paused."""
        ...

    def release(self, run_id: str) -> None:
        """Let a paused run go on."""
        ...

    def remove(self, run_id: str) -> None:
        """Take the run's trial out."""
        ...

    def runs(self) -> list[str]:
        """Return the runs that have a trial which has not ended."""
        ...

    @property
    def is_busy(self) -> bool:
        """Whether :meth:`step` has something to do."""
        ...

    def step(self) -> None:
        """Handle one event."""
        ...


Driven = ExecutionDriver | Watch
OpenExecution = Callable[[Execution, Port, Engine, str], Driven]
"""Starts to drive a plugin execution; the last argument is the driver's token."""


class ExperimentDriver:
    """Brings the engine in line with the registry, again and again. Holds nothing that a new one could not rebuild."""

    def __init__(
        self,
        experiment_id: str,
        *,
        port: Port,
        engine: Engine,
        clock: Callable[[], float] = time.monotonic,
        news: News | None = None,
        open_execution: OpenExecution | None = None,
        token: str | None = None,
    ) -> None:
        self._experiment_id = experiment_id
        self._port = port
        self._engine = engine
        self._token = token or uuid.uuid4().hex
        self._open_execution = open_execution
        self._executions: dict[str, Driven] = {}
        self._stopped: list[Driven] = []
        self._clock = clock
        self._news = news or threading.Event()
        self._next_poll = 0.0
        self._idle_since: float | None = None

    def run(self) -> None:
        """Work until nothing has been left to do for a while.

        Raises:
            StaleDriver: Another driver has taken over: one that Ray started because it took this one's node for dead.
        """
        self._port.claim_experiment(self._experiment_id, driver=self._token)
        try:
            while not self._is_idle():
                self.tick()
        finally:
            for execution in [*self._executions.values(), *self._stopped]:
                execution.close()

    def tick(self) -> None:
        """Reconcile when there is news or it is time to, then let the engine handle one event."""
        if self._clock() >= self._next_poll or self._news.is_set():
            self._news.clear()
            executions = self._port.executions.to_drive(self._experiment_id, driver=self._token)
            self._drive(executions)
            wanted = self._port.runs_to_drive(self._experiment_id, driver=self._token)
            self._reconcile(wanted)
            # A plugin that only looks at runs has nothing to do where there are none.
            is_steered = any(execution.scope is Scope.EXPERIMENT for execution in executions)
            is_at_work = wanted or is_steered or self._stopped
            self._idle_since = None if is_at_work else (self._idle_since or self._clock())
            self._next_poll = self._clock() + POLL_INTERVAL_S
        if self._engine.is_busy:
            self._engine.step()
        else:
            self._news.wait(POLL_INTERVAL_S)

    def _drive(self, executions: Sequence[Execution]) -> None:
        wanted = {execution.execution_id: execution for execution in executions}
        for execution_id in self._executions.keys() - wanted.keys():
            stopped = self._executions.pop(execution_id)
            stopped.stop()
            self._stopped.append(stopped)
        self._stopped = [each for each in self._stopped if not each.is_gone()]
        for execution_id, execution in wanted.items():
            driver = self._executions.get(execution_id) or self._open(execution)
            if driver is not None and driver.tick(is_paused=execution.state is ExecutionState.PAUSED):
                del self._executions[execution_id]

    def _open(self, execution: Execution) -> Driven | None:
        """Start to drive the execution; one that cannot be driven here fails."""
        assert self._open_execution is not None, "a driver that knows no plugins was given a plugin execution"
        try:
            driver = self._open_execution(execution, self._port, self._engine, self._token)
        except OSError as exc:
            self._port.executions.end(
                execution.execution_id,
                driver=self._token,
                state=ExecutionState.FAILED,
                reason=f"its process could not be started: {exc}",
            )
            return None
        self._executions[execution.execution_id] = driver
        return driver

    def _reconcile(self, wanted: list[RunToDrive]) -> None:
        for run in wanted:
            if not self._engine.has(run.run_id):
                self._add(run)
            elif self._engine.is_held(run.run_id) and run.state is RunState.QUEUED:
                self._engine.release(run.run_id)
        unwanted = set(self._engine.runs()) - {run.run_id for run in wanted}
        for run_id in unwanted:
            if self._engine.is_waiting(run_id) and not self._engine.is_held(run_id):
                self._engine.remove(run_id)  # stopped or paused before it was given an actor

    def _add(self, run: RunToDrive) -> None:
        execution = self._executions.get(run.execution_id or "")
        if execution is not None and execution.is_ready:
            self._engine.add(
                run.run_id,
                name=run.name,
                resources=run.resources,
                scheduler=execution.scheduler,
                course=execution.course,
            )
        elif execution is None:  # also one whose plugin execution has ended: nobody is there to judge it any more
            self._engine.add(run.run_id, name=run.name, resources=run.resources)

    def _is_idle(self) -> bool:
        return self._idle_since is not None and self._clock() - self._idle_since > IDLE_S
