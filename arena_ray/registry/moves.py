"""How a run changes: each change is one compare-and-set on its row, and whoever comes too late changes nothing.

The ``attempt`` that a change carries is its fencing token: an attempt that was given up may go on for seconds
before it learns so, and must not write over the one that took its place.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from itertools import takewhile
from typing import Any

import sqlalchemy as sa

from arena_ray.model.errors import ArenaError, IllegalTransition, StaleAttempt
from arena_ray.model.states import (
    ALLOWED_MOVES,
    AT_WORK,
    FINAL_STATES,
    AttemptOutcome,
    Intent,
    Resume,
    RunState,
    sources_of,
)
from arena_ray.registry.columns import Prose, UtcTime
from arena_ray.registry.queries import run_not_found
from arena_ray.registry.tables import attempts, runs

_ENDS_INTENT = FINAL_STATES | {RunState.PAUSED, RunState.QUEUED}

_INTENT_TARGETS = {
    Intent.NONE: RunState.RUNNING,
    Intent.PAUSE: RunState.PAUSED,
    Intent.STOP: RunState.STOPPED,
    Intent.STOP_NOW: RunState.STOPPED,
}

_STRENGTH = (Intent.NONE, Intent.PAUSE, Intent.STOP, Intent.STOP_NOW)


def move_run(
    connection: sa.Connection,
    run_id: str,
    *,
    target: RunState,
    attempt: int | None,
    reason: str | None,
    now: datetime,
) -> None:
    """Move the run to *target*, if the table of moves and the fencing token allow it."""
    changes: dict[str, Any] = {"state": target, "reason": reason}
    if target in FINAL_STATES:
        changes["ended_at"] = now
    if target in _ENDS_INTENT:
        changes["intent"] = Intent.NONE
    _change_run(connection, run_id, target=target, sources=sources_of(target), attempt=attempt, changes=changes)


def begin_attempt(connection: sa.Connection, run_id: str, *, node: str, resumed_from: str | None, now: datetime) -> int:
    """Open the run's next attempt and return its number."""
    changes = {
        "state": RunState.STARTING,
        "attempt": runs.c.attempt + 1,
        "node": node,
        "started_at": sa.func.coalesce(runs.c.started_at, sa.literal(now, UtcTime)),
        "reason": None,
    }
    target = RunState.STARTING
    _change_run(connection, run_id, target=target, sources=sources_of(target), attempt=None, changes=changes)
    number: int = connection.execute(sa.select(runs.c.attempt).where(runs.c.run_id == run_id)).scalar_one()
    connection.execute(
        attempts.insert().values(run_id=run_id, number=number, node=node, started_at=now, resumed_from=resumed_from)
    )
    return number


def end_attempt(
    connection: sa.Connection,
    run_id: str,
    *,
    attempt: int,
    outcome: AttemptOutcome,
    reason: str | None,
    now: datetime,
) -> None:
    """Close the run's newest attempt. To say the same twice is no mistake; to say something else later is."""
    require_attempt(connection, run_id, attempt=attempt)
    row = (attempts.c.run_id == run_id) & (attempts.c.number == attempt)
    changed = connection.execute(
        attempts.update().where(row, attempts.c.ended_at.is_(None)).values(ended_at=now, outcome=outcome, reason=reason)
    ).rowcount
    if changed:
        return
    known = connection.execute(sa.select(attempts.c.outcome).where(row)).scalar_one()
    if known is not outcome:
        name = connection.execute(sa.select(runs.c.name).where(runs.c.run_id == run_id)).scalar_one()
        raise IllegalTransition(f"{name}, attempt {attempt},", state=known, target=outcome)


def require_attempt(connection: sa.Connection, run_id: str, *, attempt: int) -> None:
    """Return if *attempt* is the run's newest, and keep it so until the transaction ends.

    Raises:
        NotFound: There is no such run.
        StaleAttempt: The run is at another attempt.
    """
    query = sa.select(runs.c.name, runs.c.attempt).where(runs.c.run_id == run_id).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise run_not_found(connection, run_id)
    if row.attempt != attempt:
        raise StaleAttempt(row.name, attempt=attempt, current=row.attempt)


def request(connection: sa.Connection, run_id: str, *, intent: Intent, reason: str | None = None) -> None:
    """Record what is wanted of the run. A weaker wish does not replace a stronger; ``none`` withdraws any.

    The *reason* is that of the run from now on, unless the same was wanted before.
    """
    target = _INTENT_TARGETS[intent]
    no_stronger = _STRENGTH if intent is Intent.NONE else _STRENGTH[: _STRENGTH.index(intent) + 1]
    sources = frozenset(RunState) - FINAL_STATES if intent is Intent.NONE else sources_of(target)
    changes: dict[str, Any] = {"intent": intent}
    if reason is not None:
        changes["reason"] = sa.case((runs.c.intent == intent, runs.c.reason), else_=sa.literal(reason, Prose))
    changed = connection.execute(
        runs.update()
        .where(runs.c.run_id == run_id, runs.c.state.in_(list(sources)), runs.c.intent.in_(list(no_stronger)))
        .values(**changes)
    ).rowcount
    if not changed and (refusal := _refusal(connection, run_id, target=target, sources=sources, attempt=None)):
        raise refusal


def record_progress(
    connection: sa.Connection,
    run_id: str,
    *,
    attempt: int,
    boundary: int,
    global_step: int,
    episodic_return: float,
    steps_per_second: float,
) -> Intent:
    """Write down how far the run is, which is running from now on, and return what the user wants of it."""
    changes = {
        "state": RunState.RUNNING,
        "boundary": boundary,
        "global_step": global_step,
        "episodic_return": episodic_return,
        "steps_per_second": steps_per_second,
    }
    target = RunState.RUNNING
    _change_run(connection, run_id, target=target, sources=AT_WORK, attempt=attempt, changes=changes)
    intent: Intent = connection.execute(sa.select(runs.c.intent).where(runs.c.run_id == run_id)).scalar_one()
    return intent


def record_resume(connection: sa.Connection, run_id: str, *, attempt: int, resume: Resume, reason: str | None) -> None:
    """Write down how the run goes on from its checkpoints, and why not better."""
    require_attempt(connection, run_id, attempt=attempt)
    connection.execute(runs.update().where(runs.c.run_id == run_id).values(resume=resume, resume_reason=reason))


def lost_streak(connection: sa.Connection, run_id: str) -> int:
    """Return how many of the newest ended attempts were lost one after the other, from the same starting point.

    Those that gave way to another run count neither way.
    """
    query = (
        sa.select(attempts.c.outcome, attempts.c.resumed_from)
        .where(
            attempts.c.run_id == run_id,
            attempts.c.ended_at.is_not(None),
            attempts.c.outcome != AttemptOutcome.PREEMPTED,
        )
        .order_by(attempts.c.number.desc())
    )
    ended = connection.execute(query).all()
    lost = takewhile(
        lambda row: row.outcome is AttemptOutcome.LOST and row.resumed_from == ended[0].resumed_from, ended
    )
    return sum(1 for _ in lost)


def _change_run(
    connection: sa.Connection,
    run_id: str,
    *,
    target: RunState,
    sources: Collection[RunState],
    attempt: int | None,
    changes: dict[str, Any],
) -> None:
    statement = runs.update().where(runs.c.run_id == run_id, runs.c.state.in_(list(sources)))
    if attempt is not None:
        statement = statement.where(runs.c.attempt == attempt)
    if connection.execute(statement.values(**changes)).rowcount:
        return
    refusal = _refusal(connection, run_id, target=target, sources=sources, attempt=attempt)
    assert refusal is not None, "a row that nothing speaks against was not changed"
    raise refusal


def _refusal(
    connection: sa.Connection,
    run_id: str,
    *,
    target: RunState,
    sources: Collection[RunState],
    attempt: int | None,
) -> ArenaError | None:
    row = connection.execute(
        sa.select(runs.c.name, runs.c.state, runs.c.attempt).where(runs.c.run_id == run_id)
    ).first()
    if row is None:
        return run_not_found(connection, run_id)
    if attempt is not None and row.attempt != attempt:
        return StaleAttempt(row.name, attempt=attempt, current=row.attempt)
    if row.state not in sources:
        return IllegalTransition(row.name, state=row.state, target=target, allowed=ALLOWED_MOVES[row.state])
    return None
