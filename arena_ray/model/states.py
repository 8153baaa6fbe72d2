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
    PREEMPTED = "preempted"
    """Gave its resources to another run at a milestone, or to an attempt of its own with other flags."""


class Resume(StrEnum):
    """How a script goes on from a checkpoint in a new process."""

    NONE = "none"
    """It cannot."""
    WARM = "warm"
    """It goes on, but something may differ from a training that never stopped; also where nobody has looked."""
    EXACT = "exact"
    """Bit for bit as if it had never stopped: a probe has shown it for this script, environment and interpreter."""


class Scope(StrEnum):
    """What a plugin is at work on."""

    EXPERIMENT = "experiment"
    """It steers an experiment: makes its revisions and its runs."""
    RUN = "run"
    """It watches an experiment's runs while they train, and may stop or pause them."""
    REVISION = "revision"
    """It looks at each revision before that exists, and may refuse it."""


class ExecutionState(StrEnum):
    """Where a plugin execution stands."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Whether the execution has ended for good."""
        return self not in (ExecutionState.RUNNING, ExecutionState.PAUSED)


class ExploitCause(StrEnum):
    """Why a run was given another one's weights."""

    QUANTILE = "quantile"
    """It was among the worst at equal steps."""
    DIVERGED = "diverged"
    """Its score was not a number."""
    SCHEDULE = "schedule"
    """Its hyperparameters were to change at this step; it is its own donor."""


class ExploitOutcome(StrEnum):
    """How far an exploit has come."""

    COMMITTED = "committed"
    """Decided and recorded; the run carries it out at its boundary, now or when it starts again."""
    APPLIED = "applied"
    FAILED = "failed"
    """The weights did not fit or could not be read, or no process started with them; the run went on as it was."""
    ABANDONED = "abandoned"
    """The donor's weights are gone, or the run ended before it came to this."""


class PolicyState(StrEnum):
    """Where a version of a deployed policy stands."""

    LOADING = "loading"
    """Read and probed; the version before it answers meanwhile."""
    SERVING = "serving"
    REPLACED = "replaced"
    """A newer version answers."""
    WITHDRAWN = "withdrawn"
    """The policy was undeployed."""
    FAILED = "failed"
    """It could not be read, or did not act; the version before it went on answering."""

    @property
    def is_final(self) -> bool:
        """Whether this version will not answer any more."""
        return self not in (PolicyState.LOADING, PolicyState.SERVING)


_ENDINGS = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.STOPPED, RunState.PAUSED})

ALLOWED_MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.STARTING, RunState.STOPPED, RunState.PAUSED, RunState.FAILED}),
    RunState.STARTING: frozenset({RunState.RUNNING, RunState.QUEUED}) | _ENDINGS,
    RunState.RUNNING: frozenset({RunState.QUEUED}) | _ENDINGS,
    RunState.PAUSED: frozenset({RunState.QUEUED, RunState.STOPPED}),
    RunState.COMPLETED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.STOPPED: frozenset(),
}

POLICY_MOVES: dict[PolicyState, frozenset[PolicyState]] = {
    PolicyState.LOADING: frozenset({PolicyState.SERVING, PolicyState.FAILED, PolicyState.WITHDRAWN}),
    PolicyState.SERVING: frozenset({PolicyState.REPLACED, PolicyState.WITHDRAWN, PolicyState.FAILED}),
    PolicyState.REPLACED: frozenset(),
    PolicyState.WITHDRAWN: frozenset(),
    PolicyState.FAILED: frozenset(),
}

AT_WORK = frozenset({RunState.STARTING, RunState.RUNNING})
"""An attempt is under way for runs in these states."""
FINAL_STATES = frozenset(state for state, moves in ALLOWED_MOVES.items() if not moves)
ACTIVE_STATES = AT_WORK | {RunState.QUEUED}
"""A driver has work to do for runs in these states."""


def sources_of(target: RunState) -> frozenset[RunState]:
    """Return the states from which *target* may be reached in one move."""
    return frozenset(state for state, moves in ALLOWED_MOVES.items() if target in moves)


def policy_sources_of(target: PolicyState) -> frozenset[PolicyState]:
    """Return the states from which a version of a policy may become *target* in one move."""
    return frozenset(state for state, moves in POLICY_MOVES.items() if target in moves)
