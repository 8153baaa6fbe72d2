"""How plugin executions begin and end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from arena_ray.model.errors import IllegalTransition, rebuild_error
from arena_ray.model.naming import id_of
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import ExecutionState, Scope
from arena_ray.registry.queries import execution_not_found, load_execution
from arena_ray.registry.submission import Submission, ensure_experiment, ensure_revision
from arena_ray.registry.tables import executions

OPEN_STATES = tuple(state for state in ExecutionState if not state.is_final)


@dataclass(frozen=True)
class NewExecution:
    """A plugin that is to steer what is submitted. Those of the same digest ask for the same."""

    submission: Submission
    plugin: str
    settings: Mapping[str, Any]
    digest: str
    revision_id: str | None = None
    """The revision that it begins with; None for the one that is submitted."""
    scope: Scope = Scope.EXPERIMENT
    key: str | None = None
    """Name of the request, so that it is not carried out twice."""


@dataclass(frozen=True)
class ExecutionSource:
    """What the runs of a plugin execution train: digest of the script's files, the script, and what it is given."""

    bundle: str
    flags: dict[str, FlagValue]
    script: str


def begin_execution(
    connection: sa.Connection,
    execution: NewExecution,
    *,
    force_new: bool,
    now: datetime,
    new_id: Callable[[], str],
) -> tuple[str, bool]:
    """Return the execution's id, and whether it was made now: with its experiment and revision where there were none.

    It was not if one of the same digest has not ended in the experiment, and *force_new* does not ask for another.
    """
    submission = execution.submission
    experiment_id = ensure_experiment(connection, submission.spec, now=now, new_id=new_id)
    execution_id = id_of(execution.key) if execution.key else new_id()
    if execution.key and connection.scalar(
        sa.select(executions.c.serial).where(executions.c.execution_id == execution_id)
    ):
        return execution_id, True
    if not force_new and (known := _unfinished_execution(connection, experiment_id, digest=execution.digest)):
        _update_deploy(connection, known, submission)
        return known, False
    revision_id = execution.revision_id or ensure_revision(
        connection, submission, experiment_id=experiment_id, now=now, new_id=new_id
    )
    connection.execute(
        executions.insert().values(
            execution_id=execution_id,
            experiment_id=experiment_id,
            plugin=execution.plugin,
            settings=dict(execution.settings),
            spec=submission.spec.model_dump(mode="json"),
            digest=execution.digest,
            script=submission.script,
            bundle=submission.bundle,
            flags=dict(submission.flags),
            state=ExecutionState.RUNNING,
            created_at=now,
            revision_id=revision_id,
            scope=execution.scope,
        )
    )
    return execution_id, True


def _update_deploy(connection: sa.Connection, execution_id: str, submission: Submission) -> None:
    """Let an execution that goes on deploy where the newest file says, which its digest leaves out."""
    this = executions.c.execution_id == execution_id
    spec = connection.scalar(sa.select(executions.c.spec).where(this)) or {}
    deploy = submission.spec.model_dump(mode="json")["deploy"]
    if spec.get("deploy") != deploy:
        connection.execute(executions.update().where(this).values(spec={**spec, "deploy": deploy}))


def _unfinished_execution(connection: sa.Connection, experiment_id: str, *, digest: str) -> str | None:
    query = (
        sa.select(executions.c.execution_id)
        .where(
            executions.c.experiment_id == experiment_id,
            executions.c.digest == digest,
            executions.c.state.in_(OPEN_STATES),
        )
        .order_by(executions.c.serial.desc())
        .limit(1)
    )
    execution_id: str | None = connection.scalar(query)
    return execution_id


def move_execution(
    connection: sa.Connection, execution_id: str, *, target: ExecutionState, reason: str | None, now: datetime
) -> None:
    """Move the execution to *target*, unless it has ended otherwise. Where it is there already, nothing changes."""
    changed = connection.execute(
        executions.update()
        .where(
            executions.c.execution_id == execution_id,
            executions.c.state.in_(OPEN_STATES),
            executions.c.state != target,
        )
        .values(state=target, reason=reason, ended_at=now if target.is_final else None)
    ).rowcount
    if changed:
        return
    execution = load_execution(connection, execution_id)
    if execution.state is not target:
        message = (
            f"execution {execution_id} of experiment {execution.experiment} is {execution.state} "
            f"and cannot become {target}; it has ended"
        )
        raise rebuild_error(
            IllegalTransition, message, {"run": execution_id, "state": execution.state, "target": target}
        )


def load_source(connection: sa.Connection, execution_id: str) -> ExecutionSource:
    """Return what the execution's runs train.

    Raises:
        NotFound: There is no such execution.
    """
    query = sa.select(executions.c.bundle, executions.c.flags, executions.c.script)
    row = connection.execute(query.where(executions.c.execution_id == execution_id)).mappings().first()
    if row is None:
        raise execution_not_found(execution_id)
    return ExecutionSource(**row)
