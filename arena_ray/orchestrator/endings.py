"""What becomes of a run when an attempt at it ends."""

from __future__ import annotations

from arena_ray.model.records import Run
from arena_ray.model.states import AttemptOutcome, Intent, RunState

TARGETS = {
    AttemptOutcome.COMPLETED: RunState.COMPLETED,
    AttemptOutcome.FAILED: RunState.FAILED,
    AttemptOutcome.STOPPED: RunState.STOPPED,
    AttemptOutcome.PAUSED: RunState.PAUSED,
    AttemptOutcome.PREEMPTED: RunState.QUEUED,
}
REASONS = {
    AttemptOutcome.STOPPED: "stopped by the user",
    AttemptOutcome.PAUSED: "paused by the user",
    AttemptOutcome.PREEMPTED: "gave way to a run that is behind; goes on from its milestone",
}


def wished(run: Run) -> tuple[RunState, str]:
    """Return the state that the user wants of a run that is not at work, and why it is in it."""
    if run.intent is Intent.PAUSE:
        return RunState.PAUSED, run.reason or REASONS[AttemptOutcome.PAUSED]
    return RunState.STOPPED, run.reason or REASONS[AttemptOutcome.STOPPED]


def after(
    run: Run, outcome: AttemptOutcome, reason: str | None, *, streak: int, most: int
) -> tuple[RunState, str | None]:
    """Return the state of a run whose attempt has ended so, and why it is in it.

    Args:
        run: The run as it was.
        outcome: How the attempt ended.
        reason: Why, if anybody has said so.
        streak: How many attempts in a row are lost by now without getting any further.
        most: How many may be.
    """
    if outcome is AttemptOutcome.STOPPED or (outcome is AttemptOutcome.PAUSED and run.intent is Intent.PAUSE):
        return TARGETS[outcome], reason or run.reason or REASONS[outcome]
    is_to_go_on = outcome in (AttemptOutcome.LOST, AttemptOutcome.PREEMPTED, AttemptOutcome.PAUSED)
    if is_to_go_on and run.intent is not Intent.NONE:
        return wished(run)
    if outcome is AttemptOutcome.PAUSED:  # it was resumed before it could pause
        return RunState.QUEUED, None
    if outcome is not AttemptOutcome.LOST:
        return TARGETS[outcome], reason or REASONS.get(outcome)
    if streak >= most:
        return RunState.FAILED, f"{streak} attempts in a row were lost without progress, the last one: {reason}"
    return RunState.QUEUED, f"attempt {run.attempt} was lost: {reason}"
