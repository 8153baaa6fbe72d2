"""Takes care of one experiment's runs: what the registry says must run gets a trial, what must not, loses it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Protocol

from arena_ray.model.spec import Resources
from arena_ray.model.states import RunState
from arena_ray.scheduling.port import Port, RunToDrive

POLL_INTERVAL_S = 0.3
IDLE_S = 10.0


class Engine(Protocol):
    """What the driver asks of :class:`~arena_ray.scheduling.tune_engine.TuneEngine`."""

    def add(self, run_id: str, *, name: str, resources: Resources) -> None:
        """Queue the run."""
        ...

    def has(self, run_id: str) -> bool:
        """Whether a trial of the run is queued, runs or is paused."""
        ...

    def is_waiting(self, run_id: str) -> bool:
        """Whether the run's trial has no actor yet, or is paused."""
        ...

    def is_held(self, run_id: str) -> bool:
        """Whether the run's trial is paused by the user."""
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


class ExperimentDriver:
    """Brings the engine in line with the registry, again and again. Holds nothing that a new one could not rebuild."""

    def __init__(
        self,
        experiment_id: str,
        *,
        port: Port,
        engine: Engine,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        token: str | None = None,
    ) -> None:
        self._experiment_id = experiment_id
        self._port = port
        self._engine = engine
        self._token = token or uuid.uuid4().hex
        self._clock = clock
        self._sleep = sleep
        self._next_poll = 0.0
        self._idle_since: float | None = None

    def run(self) -> None:
        """Work until nothing has been left to do for a while.

        Raises:
            StaleDriver: Another driver has taken over: one that Ray started because it took this one's node for dead.
        """
        self._port.claim_experiment(self._experiment_id, driver=self._token)
        while not self._is_idle():
            self.tick()

    def tick(self) -> None:
        """Reconcile when it is time to, then let the engine handle one event."""
        if self._clock() >= self._next_poll:
            self._reconcile(self._port.runs_to_drive(self._experiment_id, driver=self._token))
            self._next_poll = self._clock() + POLL_INTERVAL_S
        if self._engine.is_busy:
            self._engine.step()
        else:
            self._sleep(POLL_INTERVAL_S)

    def _reconcile(self, wanted: list[RunToDrive]) -> None:
        for run in wanted:
            if run.state is RunState.PAUSED:
                continue
            if not self._engine.has(run.run_id):
                self._engine.add(run.run_id, name=run.name, resources=run.resources)
            elif self._engine.is_held(run.run_id) and run.state is RunState.QUEUED:
                self._engine.release(run.run_id)
        unwanted = set(self._engine.runs()) - {run.run_id for run in wanted if run.state is not RunState.PAUSED}
        for run_id in unwanted:
            if self._engine.is_waiting(run_id) and not self._engine.is_held(run_id):
                self._engine.remove(run_id)  # stopped or paused before it was given an actor
        self._idle_since = None if wanted else (self._idle_since or self._clock())

    def _is_idle(self) -> bool:
        return self._idle_since is not None and self._clock() - self._idle_since > IDLE_S
