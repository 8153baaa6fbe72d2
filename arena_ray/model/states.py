"""States of a run and the moves between them: the one table that the registry enforces."""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands. A preempted run is ``queued`` with its reason; ``paused`` is the user's."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Whether the run has ended for good."""
        return not ALLOWED_MOVES[self]


class Intent(StrEnum):
    """What the user asked of a run that has not been carried out yet."""

    NONE = "none"
    STOP = "stop"
    STOP_NOW = "stop_now"
    PAUSE = "pause"


class AttemptOutcome(StrEnum):
    """How one attempt of a run ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    PAUSED = "paused"
    LOST = "lost"
    """Killed, or its actor or node died: the run goes on with another attempt."""


_ENDINGS = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.STOPPED, RunState.PAUSED})

ALLOWED_MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.STARTING, RunState.STOPPED, RunState.PAUSED, RunState.FAILED}),
    RunState.STARTING: frozenset({RunState.STARTING, RunState.RUNNING, RunState.QUEUED}) | _ENDINGS,
    RunState.RUNNING: frozenset({RunState.STARTING, RunState.QUEUED}) | _ENDINGS,
    RunState.PAUSED: frozenset({RunState.QUEUED, RunState.STOPPED}),
    RunState.COMPLETED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.STOPPED: frozenset(),
}

FINAL_STATES = frozenset(state for state, moves in ALLOWED_MOVES.items() if not moves)
ACTIVE_STATES = frozenset({RunState.QUEUED, RunState.STARTING, RunState.RUNNING})
"""A driver has work to do for runs in these states."""


def sources_of(target: RunState) -> frozenset[RunState]:
    """Return the states from which *target* may be reached in one move."""
    return frozenset(state for state, moves in ALLOWED_MOVES.items() if target in moves)
