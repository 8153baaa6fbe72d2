"""What the run actors and the experiment drivers need of the orchestrator, and what they are told."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import ray

from arena_ray.model.errors import RegistryError
from arena_ray.model.events import Batch
from arena_ray.model.records import Attempt, Checkpoint, Milestone, Revision, Run
from arena_ray.model.settings import Settings
from arena_ray.model.spec import Resources
from arena_ray.model.states import AttemptOutcome, Intent, RunState
from arena_ray.scheduling.execution_port import ExecutionPort, ExploitOrder, RayExecutions
from arena_ray.scheduling.plugin_port import PluginPort, RayPlugins

if TYPE_CHECKING:
    from arena_ray.runner.bundle import Bundle

ORCHESTRATOR_NAME = "orchestrator"
NAMESPACE = "arena"
RETRY_S = 0.2


@dataclass(frozen=True)
class Assignment:
    """All that a run actor needs to know of its run. Checkpoints are newest first."""

    run: Run
    revision: Revision
    bundle: Bundle
    checkpoints: tuple[Checkpoint, ...]
    settings: Settings
    home: str
    exploits: tuple[ExploitOrder, ...] = ()
    """Those that were committed and have not failed, by generation."""
    milestones: tuple[Milestone, ...] = ()
    """Those that the run has reached."""


@dataclass(frozen=True)
class Acknowledgement:
    """The answer to a report: it is kept, and this is what the user wants."""

    intent: Intent = Intent.NONE
    episodic_return: float = math.nan


@dataclass(frozen=True)
class RunToDrive:
    """A run that its experiment's driver is to take care of."""

    run_id: str
    name: str
    state: RunState
    resources: Resources
    execution_id: str | None = None


class Port(Protocol):
    """The orchestrator as run actors and drivers see it. Every call may be repeated without harm."""

    @property
    def executions(self) -> ExecutionPort:
        """Plugin executions."""
        ...

    @property
    def plugins(self) -> PluginPort:
        """What the functions of plugins ask for."""
        ...

    def assignment(self, run_id: str) -> Assignment:
        """Return what the run's actor needs to start it."""
        ...

    def begin_attempt(self, run_id: str, *, node: str, resumed_from: str | None, token: str) -> Attempt:
        """Begin the next attempt; *token* makes a repeated call return the same one."""
        ...

    def report(self, batch: Batch) -> Acknowledgement:
        """Take in what an attempt tells."""
        ...

    def end_attempt(self, run_id: str, *, attempt: int, outcome: AttemptOutcome, reason: str | None) -> RunState:
        """Record how an attempt ended and return the state that the run is in now."""
        ...

    def claim_experiment(self, experiment_id: str, *, driver: str) -> None:
        """Make *driver*, a token that no other has, the experiment's only one; every earlier one is fenced off."""
        ...

    def runs_to_drive(self, experiment_id: str, *, driver: str) -> list[RunToDrive]:
        """Return the experiment's runs that are queued or under way, oldest first.

        Raises:
            StaleDriver: Another driver has claimed the experiment since.
        """
        ...


class RayPort:
    """The port over Ray. A call is repeated whose orchestrator dies, or finds its registry out of reach."""

    def __init__(self, handle: Any, *, patience_s: float = 60.0) -> None:
        self._handle = handle
        self._patience_s = patience_s
        self.executions: ExecutionPort = RayExecutions(self.call)
        self.plugins: PluginPort = RayPlugins(self.call)

    @classmethod
    def find(cls) -> RayPort:
        """Return a port to the cluster's orchestrator.

        Raises:
            ValueError: There is none in this cluster.
        """
        return cls(ray.get_actor(ORCHESTRATOR_NAME, namespace=NAMESPACE))

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the orchestrator and return its answer, or raise what it raised."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return ray.get(self._handle.call.remote(method, *args, **kwargs))
            except ray.exceptions.RayTaskError as exc:
                if not isinstance(exc.cause, RegistryError) or time.monotonic() > deadline:
                    raise exc.cause from exc
            except ray.exceptions.RayActorError:  # between its death and its restart
                if time.monotonic() > deadline:
                    raise
            time.sleep(RETRY_S)

    def assignment(self, run_id: str) -> Assignment:
        """See :class:`Port`."""
        return cast("Assignment", self.call("assignment", run_id))

    def begin_attempt(self, run_id: str, *, node: str, resumed_from: str | None, token: str) -> Attempt:
        """See :class:`Port`."""
        answer = self.call("begin_attempt", run_id, node=node, resumed_from=resumed_from, token=token)
        return cast("Attempt", answer)

    def report(self, batch: Batch) -> Acknowledgement:
        """See :class:`Port`."""
        return cast("Acknowledgement", self.call("report", batch))

    def end_attempt(self, run_id: str, *, attempt: int, outcome: AttemptOutcome, reason: str | None) -> RunState:
        """See :class:`Port`."""
        return RunState(self.call("end_attempt", run_id, attempt=attempt, outcome=outcome, reason=reason))

    def claim_experiment(self, experiment_id: str, *, driver: str) -> None:
        """See :class:`Port`."""
        self.call("claim_experiment", experiment_id, driver=driver)

    def runs_to_drive(self, experiment_id: str, *, driver: str) -> list[RunToDrive]:
        """See :class:`Port`."""
        return cast("list[RunToDrive]", self.call("runs_to_drive", experiment_id, driver=driver))
