"""Hyperparameters that change at given steps, whatever a run has reached by then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from arena_ray.model.errors import IllegalTransition
from arena_ray.model.records import Exploit, Milestone
from arena_ray.model.schedule import Schedule
from arena_ray.model.states import ExploitCause
from arena_ray.scheduling.execution_port import ExploitOrder, StudyRecord
from arena_ray.scheduling.in_place import Crew, MilestoneScheduler


class ScheduledChanges(MilestoneScheduler):
    """Has each run change its hyperparameters at the steps of a schedule.

    A change is an exploit of the run on itself: it takes over the checkpoint that it has just written, and so nothing
    but the hyperparameters changes. It is committed and carried out like any other, also after the death of whatever.

    Args:
        crew: The run actors.
        schedule: What holds from which step on; a milestone for each step but 0.
        execution_id: The plugin execution.
        commit: Records a change; only then is it carried out.
        stop: Asks for a run's end, with the reason.
    """

    def __init__(
        self,
        crew: Crew,
        schedule: Schedule,
        *,
        execution_id: str,
        commit: Callable[[Exploit], ExploitOrder],
        stop: Callable[[str, str], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(crew)
        self._schedule = schedule
        self._execution_id = execution_id
        self._commit = commit
        self._stop = stop
        self._clock = clock
        self._changes: dict[str, list[Exploit]] = {}
        """Those of each run, by generation."""

    def recall(self, record: StudyRecord) -> None:
        """Take in all that was decided before this driver."""
        for exploit in record.exploits:
            self._changes.setdefault(exploit.run_id, []).append(exploit)

    def on_milestone(self, milestone: Milestone) -> bool:
        """Have the run change and go on; end it where the change before this one did not take hold."""
        known = self._changes.setdefault(milestone.run_id, [])
        if (trouble := self._trouble(milestone, known)) is not None:
            self._stop(milestone.run_id, f"the schedule could not be followed: {trouble}")
            return False
        if any((one.milestone, one.boundary) == (milestone.number, milestone.boundary) for one in known):
            self._crew.decide(milestone.run_id, None)  # it came here again: what it was to do it knows, or could not do
            return False
        try:
            order = self._commit(
                self._change(milestone, generation=max((one.generation for one in known), default=0) + 1)
            )
        except IllegalTransition:  # the run has ended meanwhile
            self._crew.decide(milestone.run_id, None)
            return False
        known.append(order.exploit)
        self._crew.decide(milestone.run_id, order)
        return False

    def _trouble(self, milestone: Milestone, known: Sequence[Exploit]) -> str | None:
        """Return what has become of the change before this one, if it did not take hold."""
        earlier = [one for one in known if one.milestone < milestone.number]
        if earlier and earlier[-1].generation > milestone.generation:
            return f"its change at step {earlier[-1].global_step:,} failed"
        skipped = milestone.number - 1 - max((one.milestone for one in earlier), default=0)
        if not skipped:
            return None
        # Two steps may lie in one pass of the main loop. If not, the run has gone on because it could not be written.
        here, before = self._schedule.steps[milestone.number - 1], self._schedule.steps[milestone.number - 2]
        is_one_pass = (here - before) * milestone.boundary < 2 * milestone.global_step
        return None if is_one_pass else f"its state could not be written at step {before:,}"

    def _change(self, milestone: Milestone, *, generation: int) -> Exploit:
        return Exploit(
            execution_id=self._execution_id,
            run_id=milestone.run_id,
            generation=generation,
            milestone=milestone.number,
            boundary=milestone.boundary,
            global_step=milestone.global_step,
            score=milestone.score,
            donor_run_id=milestone.run_id,
            donor_generation=milestone.generation,
            donor_milestone=milestone.number,
            donor_checkpoint_id=milestone.checkpoint_id,
            donor_digest="",  # the registry knows it
            donor_score=milestone.score,
            hyperparameters_before=self._schedule.after(milestone.number - 1),
            hyperparameters=self._schedule.after(milestone.number),
            cause=ExploitCause.SCHEDULE,
            created_at=self._clock(),
        )
