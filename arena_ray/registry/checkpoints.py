"""How checkpoints enter the registry and leave it, and which must stay. Their files are not touched here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from arena_ray.model.errors import NotFound
from arena_ray.model.states import ACTIVE_STATES, FINAL_STATES, ExploitOutcome, PolicyState
from arena_ray.registry.executions import OPEN_STATES
from arena_ray.registry.moves import require_attempt
from arena_ray.registry.tables import checkpoints, executions, exploits, milestones, policy_versions, runs

_TAKEN_OVER = 2
"""How many checkpoints of its own make a clone independent of its donor's: the newest may turn out damaged."""


@dataclass(frozen=True)
class NewCheckpoint:
    """A checkpoint whose files are complete where ``uri`` says."""

    attempt: int
    boundary: int
    global_step: int
    uri: str
    digest: str
    policy_digest: str
    metrics_digest: str
    size_bytes: int
    episodic_return: float
    is_final: bool
    generation: int = 0


def add_checkpoint(
    connection: sa.Connection, run_id: str, checkpoint: NewCheckpoint, *, checkpoint_id: str, now: datetime
) -> str:
    """Return the id of the added checkpoint. The same files told of twice, as by a repeated call, are one.

    Raises:
        NotFound: There is no such run.
        StaleAttempt: The attempt that took the checkpoint is not the run's newest.
    """
    require_attempt(connection, run_id, attempt=checkpoint.attempt)
    query = sa.select(checkpoints.c.checkpoint_id).where(
        checkpoints.c.run_id == run_id,
        checkpoints.c.attempt == checkpoint.attempt,
        checkpoints.c.boundary == checkpoint.boundary,
        checkpoints.c.uri == checkpoint.uri,
        checkpoints.c.digest == checkpoint.digest,
        checkpoints.c.is_final == checkpoint.is_final,
        checkpoints.c.removed_at.is_(None),
    )
    known: str | None = connection.scalar(query)
    if known is not None:
        return known
    row = asdict(checkpoint) | {"checkpoint_id": checkpoint_id, "run_id": run_id, "created_at": now}
    connection.execute(checkpoints.insert().values(**row))
    return checkpoint_id


def remove_checkpoint(connection: sa.Connection, checkpoint_id: str, *, reason: str, now: datetime) -> None:
    """Mark the checkpoint as removed. Its row stays, with the reason that was given first.

    Raises:
        NotFound: There never was such a checkpoint.
    """
    row = checkpoints.c.checkpoint_id == checkpoint_id
    changed = connection.execute(
        checkpoints.update()
        .where(row, checkpoints.c.removed_at.is_(None))
        .values(removed_at=now, removed_reason=reason)
    ).rowcount
    if not changed and connection.scalar(sa.select(checkpoints.c.checkpoint_id).where(row)) is None:
        raise NotFound("checkpoint", checkpoint_id)


def held_checkpoints(connection: sa.Connection, run_id: str) -> set[str]:
    """Return the ids of the run's checkpoints that must not be removed.

    They are those of its milestones that a run at work may yet ask for while their execution has not ended, those that
    another run, which has not ended, takes over (an exploit of it is committed, or has been applied and is not in its
    newest checkpoints yet), and those of policies whose files are still to be made.
    """
    of_milestones = (
        sa.select(milestones.c.checkpoint_id, milestones.c.number)
        .join(runs, milestones.c.run_id == runs.c.run_id)
        .join(executions, runs.c.execution_id == executions.c.execution_id)
        .where(milestones.c.run_id == run_id, executions.c.state.in_(OPEN_STATES))
        .order_by(milestones.c.number)
    )
    donated = (
        sa.select(exploits.c.donor_checkpoint_id, exploits.c.run_id, exploits.c.generation, exploits.c.outcome)
        .join(runs, exploits.c.run_id == runs.c.run_id)
        .where(
            exploits.c.donor_run_id == run_id,
            exploits.c.outcome.in_([ExploitOutcome.COMMITTED, ExploitOutcome.APPLIED]),
            runs.c.state.not_in(list(FINAL_STATES)),
        )
    )
    waiting = sa.select(policy_versions.c.checkpoint_id).where(
        policy_versions.c.run_id == run_id,
        policy_versions.c.state == PolicyState.LOADING,
        policy_versions.c.digest == "",
    )
    reached = connection.execute(of_milestones).all()
    next_asked = _furthest_behind(connection, run_id) + 1 if reached else 0
    oldest = max((one.number for one in reached if one.number <= next_asked), default=0)
    held = {one.checkpoint_id for one in reached if one.number >= oldest}
    held.update(connection.execute(waiting).scalars())
    for exploit in connection.execute(donated).all():
        is_applied = exploit.outcome is ExploitOutcome.APPLIED
        if not (is_applied and _generation_taken_over(connection, exploit.run_id) >= exploit.generation):
            held.add(exploit.donor_checkpoint_id)
    return held


def _furthest_behind(connection: sa.Connection, run_id: str) -> int:
    """Return the newest milestone of the run of the same execution that is furthest behind, among those at work."""
    same = sa.select(runs.c.execution_id).where(runs.c.run_id == run_id).scalar_subquery()
    newest = (
        sa.select(sa.func.coalesce(sa.func.max(milestones.c.number), 0).label("number"))
        .select_from(runs.outerjoin(milestones, milestones.c.run_id == runs.c.run_id))
        .where(runs.c.execution_id == same, runs.c.state.in_(list(ACTIVE_STATES)))
        .group_by(runs.c.run_id)
        .subquery()
    )
    found: int | None = connection.scalar(sa.select(sa.func.min(newest.c.number)))
    return found or 0


def _generation_taken_over(connection: sa.Connection, run_id: str) -> int:
    query = (
        sa.select(checkpoints.c.generation)
        .where(checkpoints.c.run_id == run_id, checkpoints.c.removed_at.is_(None))
        .order_by(checkpoints.c.boundary.desc(), checkpoints.c.serial.desc())
        .limit(_TAKEN_OVER)
    )
    generations = list(connection.execute(query).scalars())
    return min(generations) if len(generations) == _TAKEN_OVER else 0
