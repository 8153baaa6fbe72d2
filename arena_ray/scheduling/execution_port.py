"""What run actors and drivers need of the orchestrator for plugin executions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from arena_ray.model.records import Checkpoint, Execution, Exploit, Milestone, Run
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import ExecutionState, ExploitOutcome


@dataclass(frozen=True)
class ExploitOrder:
    """An exploit that is to be carried out, and the donor's checkpoint; None where that has been removed."""

    exploit: Exploit
    checkpoint: Checkpoint | None


@dataclass(frozen=True)
class StudyRecord:
    """All that the registry knows of a plugin execution. Milestones and exploits are in the order they happened."""

    execution: Execution
    runs: tuple[Run, ...]
    milestones: tuple[Milestone, ...]
    exploits: tuple[Exploit, ...]


class ExecutionPort(Protocol):
    """Plugin executions, as run actors and drivers see them. Every call may be repeated without harm.

    Calls with a driver's token raise :class:`StaleDriver` where another driver has claimed the experiment since, those
    with an attempt :class:`StaleAttempt` where a newer one has taken over; nothing is recorded then.
    """

    def to_drive(self, experiment_id: str, *, driver: str) -> list[Execution]:
        """Return the experiment's plugin executions that have not ended, oldest first."""
        ...

    def record(self, execution_id: str) -> StudyRecord:
        """Return what has happened in a plugin execution so far."""
        ...

    def total_steps(self, execution_id: str) -> int:
        """Return how many steps each of its runs takes; 0 where its script has no flag that tells."""
        ...

    def add_run(
        self, execution_id: str, *, driver: str, member: int, hyperparameters: Mapping[str, FlagValue], seed: int
    ) -> Run:
        """Queue the execution's run with this number, unless it exists; *hyperparameters* come upon the spec's."""
        ...

    def reach_milestone(
        self, run_id: str, *, attempt: int, number: int, place: tuple[int, int], metric: str
    ) -> Milestone:
        """Record that the attempt holds at a milestone, where it has a checkpoint, and score it.

        Args:
            run_id: The run.
            attempt: Its attempt.
            number: The milestone.
            place: Boundary and generation of the checkpoint.
            metric: ``episodic_return``, or the tag whose newest value is the score.
        """
        ...

    def final_scores(self, execution_id: str, *, metric: str) -> dict[str, float]:
        """Return the newest value of a tag by run, of all runs of the execution that have logged it."""
        ...

    def durations(self, execution_id: str) -> dict[str, float]:
        """Return for how many seconds the attempts of each of its runs were at work, all of them together, by run."""
        ...

    def commit_exploit(self, exploit: Exploit, *, driver: str) -> ExploitOrder:
        """Record the decision; where the run has one at this milestone already, return that one."""
        ...

    def settle_exploit(
        self, run_id: str, *, attempt: int, generation: int, outcome: ExploitOutcome, reason: str | None = None
    ) -> None:
        """Record how a committed exploit ended; once applied, its hyperparameters and generation are the run's."""
        ...

    def stop_run(self, run_id: str, *, driver: str, reason: str) -> None:
        """Ask for the run's end at its next boundary, on behalf of a scheduler. One that has ended stays as it is."""
        ...

    def pause_run(self, run_id: str, *, driver: str, reason: str) -> None:
        """Ask for the run's pause at its next boundary, on behalf of a plugin. One that has ended stays as it is."""
        ...

    def end(self, execution_id: str, *, driver: str, state: ExecutionState, reason: str | None = None) -> None:
        """Record how a plugin execution ended, unless it has ended already."""
        ...


class RayExecutions:
    """The same over Ray; *call* calls a method of the orchestrator."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def to_drive(self, experiment_id: str, *, driver: str) -> list[Execution]:
        """See :class:`ExecutionPort`."""
        return cast("list[Execution]", self._call("executions.to_drive", experiment_id, driver=driver))

    def record(self, execution_id: str) -> StudyRecord:
        """See :class:`ExecutionPort`."""
        return cast("StudyRecord", self._call("executions.record", execution_id))

    def total_steps(self, execution_id: str) -> int:
        """See :class:`ExecutionPort`."""
        return cast("int", self._call("executions.total_steps", execution_id))

    def add_run(
        self, execution_id: str, *, driver: str, member: int, hyperparameters: Mapping[str, FlagValue], seed: int
    ) -> Run:
        """See :class:`ExecutionPort`."""
        keys = {"driver": driver, "member": member, "hyperparameters": dict(hyperparameters), "seed": seed}
        return cast("Run", self._call("executions.add_run", execution_id, **keys))

    def reach_milestone(
        self, run_id: str, *, attempt: int, number: int, place: tuple[int, int], metric: str
    ) -> Milestone:
        """See :class:`ExecutionPort`."""
        keys = {"attempt": attempt, "number": number, "place": place, "metric": metric}
        return cast("Milestone", self._call("executions.reach_milestone", run_id, **keys))

    def final_scores(self, execution_id: str, *, metric: str) -> dict[str, float]:
        """See :class:`ExecutionPort`."""
        return cast("dict[str, float]", self._call("executions.final_scores", execution_id, metric=metric))

    def durations(self, execution_id: str) -> dict[str, float]:
        """See :class:`ExecutionPort`."""
        return cast("dict[str, float]", self._call("executions.durations", execution_id))

    def commit_exploit(self, exploit: Exploit, *, driver: str) -> ExploitOrder:
        """See :class:`ExecutionPort`."""
        return cast("ExploitOrder", self._call("executions.commit_exploit", exploit, driver=driver))

    def settle_exploit(
        self, run_id: str, *, attempt: int, generation: int, outcome: ExploitOutcome, reason: str | None = None
    ) -> None:
        """See :class:`ExecutionPort`."""
        keys = {"attempt": attempt, "generation": generation, "outcome": outcome, "reason": reason}
        self._call("executions.settle_exploit", run_id, **keys)

    def stop_run(self, run_id: str, *, driver: str, reason: str) -> None:
        """See :class:`ExecutionPort`."""
        self._call("executions.stop_run", run_id, driver=driver, reason=reason)

    def pause_run(self, run_id: str, *, driver: str, reason: str) -> None:
        """See :class:`ExecutionPort`."""
        self._call("executions.pause_run", run_id, driver=driver, reason=reason)

    def end(self, execution_id: str, *, driver: str, state: ExecutionState, reason: str | None = None) -> None:
        """See :class:`ExecutionPort`."""
        self._call("executions.end", execution_id, driver=driver, state=state, reason=reason)
