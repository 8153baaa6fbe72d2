"""How checkpoints enter the registry and leave it. Their files are not touched here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from arena_ray.model.errors import NotFound
from arena_ray.registry.moves import require_attempt
from arena_ray.registry.tables import checkpoints


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
