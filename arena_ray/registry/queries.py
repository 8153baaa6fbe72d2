"""What can be asked of the registry. Each function takes an open connection and returns frozen records."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from arena_ray.model.errors import NotFound, nearest, rebuild_error
from arena_ray.model.records import Attempt, Checkpoint, Execution, Experiment, Revision, Run
from arena_ray.model.states import ExecutionState, RunState, Scope
from arena_ray.registry.tables import attempts, checkpoints, executions, experiments, revisions, runs

_NAMES_IN_A_HINT = 5


def _record_columns(table: sa.Table, *hidden: str) -> list[sa.Column[Any]]:
    return [column for column in table.c if column.name not in hidden]


_EXPERIMENTS = sa.select(*_record_columns(experiments, "serial"))
_REVISIONS = sa.select(*_record_columns(revisions, "serial"))
_ATTEMPTS = sa.select(*_record_columns(attempts))
_CHECKPOINTS = sa.select(*_record_columns(checkpoints, "serial", "removed_at", "removed_reason")).where(
    checkpoints.c.removed_at.is_(None)
)
_RUNS = (
    sa.select(
        *_record_columns(runs, "serial", "boundary", "deploy"),
        experiments.c.name.label("experiment"),
        revisions.c.number.label("revision"),
        revisions.c.runner,
        revisions.c.script,
        revisions.c.env_id,
        revisions.c.resources,
    )
    .join_from(runs, experiments, runs.c.experiment_id == experiments.c.experiment_id)
    .join(revisions, runs.c.revision_id == revisions.c.revision_id)
)
_EXECUTIONS = sa.select(
    *_record_columns(executions, "serial", "digest", "script", "bundle", "flags"),
    experiments.c.name.label("experiment"),
).join_from(executions, experiments, executions.c.experiment_id == experiments.c.experiment_id)


def find_experiment(connection: sa.Connection, key: str) -> Experiment | None:
    """Return the experiment of this name, or else of this id."""
    matches = sa.or_(experiments.c.name == key, experiments.c.experiment_id == key)
    by_name_first = sa.case((experiments.c.name == key, 0), else_=1)
    row = connection.execute(_EXPERIMENTS.where(matches).order_by(by_name_first)).mappings().first()
    return None if row is None else Experiment(**row)


def list_experiments(connection: sa.Connection) -> list[Experiment]:
    """Return all experiments, newest first."""
    rows = connection.execute(_EXPERIMENTS.order_by(experiments.c.serial.desc()))
    return [Experiment(**row) for row in rows.mappings()]


def find_revision(connection: sa.Connection, revision_id: str) -> Revision | None:
    """Return the revision of this id."""
    row = connection.execute(_REVISIONS.where(revisions.c.revision_id == revision_id)).mappings().first()
    return None if row is None else Revision(**row)


def load_revision(connection: sa.Connection, revision_id: str) -> Revision:
    """Return the revision of this id.

    Raises:
        NotFound: There is none.
    """
    found = find_revision(connection, revision_id)
    if found is None:
        raise NotFound("revision", revision_id)
    return found


def list_revisions(connection: sa.Connection, experiment_id: str) -> list[Revision]:
    """Return an experiment's revisions, by number."""
    query = _REVISIONS.where(revisions.c.experiment_id == experiment_id).order_by(revisions.c.number)
    return [Revision(**row) for row in connection.execute(query).mappings()]


def find_runs(connection: sa.Connection, key: str) -> list[Run]:
    """Return the run of this id, or else of this name, or else all whose id or name begins with *key*."""
    if not key:
        return []
    for matches in (
        runs.c.run_id == key,
        runs.c.name == key,
        # Not LIKE: whether that minds upper and lower case depends on the database.
        sa.or_(_begins(runs.c.run_id, key), _begins(runs.c.name, key)),
    ):
        found = connection.execute(_RUNS.where(matches).order_by(runs.c.serial)).mappings().all()
        if found:
            return [Run(**row) for row in found]
    return []


def _begins(column: sa.Column[Any], key: str) -> sa.ColumnElement[bool]:
    return sa.func.substr(column, 1, len(key)) == key


def require_run(connection: sa.Connection, key: str) -> Run:
    """Return the one run that *key* means.

    Raises:
        NotFound: None is meant, or more than one.
    """
    found = find_runs(connection, key)
    if not found:
        raise run_not_found(connection, key)
    if len(found) > 1:
        names = ", ".join(run.name for run in found[:_NAMES_IN_A_HINT])
        more = f" and {len(found) - _NAMES_IN_A_HINT} more" if len(found) > _NAMES_IN_A_HINT else ""
        message = (
            f"{key!r} begins the name or id of {len(found)} runs: {names}{more}; write more of it, or the run's id"
        )
        raise rebuild_error(NotFound, message, {"kind": "run", "name": key})
    return found[0]


def run_not_found(connection: sa.Connection, key: str) -> NotFound:
    """Return the error that no run is called *key*, with a name that is near, or else the newest few."""
    names = list(connection.execute(sa.select(runs.c.name).order_by(runs.c.serial.desc())).scalars())
    is_near = nearest(key, names).startswith("did you mean")
    return NotFound("run", key, known=names if is_near else names[:_NAMES_IN_A_HINT])


def load_run(connection: sa.Connection, run_id: str) -> Run:
    """Return the run of exactly this id.

    Raises:
        NotFound: There is none.
    """
    row = connection.execute(_RUNS.where(runs.c.run_id == run_id)).mappings().first()
    if row is None:
        raise run_not_found(connection, run_id)
    return Run(**row)


def list_runs(
    connection: sa.Connection,
    *,
    experiment: str | None = None,
    states: Collection[RunState] | None = None,
    execution_id: str | None = None,
) -> list[Run]:
    """Return runs, oldest first.

    They are of one experiment, by name or id, or of all; in any of *states*, or in whichever; of one plugin execution,
    or of none and any.
    """
    query = _RUNS.order_by(runs.c.serial)
    if experiment is not None:
        found = find_experiment(connection, experiment)
        if found is None:
            return []
        query = query.where(runs.c.experiment_id == found.experiment_id)
    if states is not None:
        query = query.where(runs.c.state.in_(list(states)))
    if execution_id is not None:
        query = query.where(runs.c.execution_id == execution_id)
    return [Run(**row) for row in connection.execute(query).mappings()]


def list_attempts(connection: sa.Connection, run_id: str) -> list[Attempt]:
    """Return a run's attempts, by number."""
    query = _ATTEMPTS.where(attempts.c.run_id == run_id).order_by(attempts.c.number)
    return [Attempt(**row) for row in connection.execute(query).mappings()]


def list_checkpoints(connection: sa.Connection, run_id: str) -> list[Checkpoint]:
    """Return a run's checkpoints that have not been removed, the one furthest in training first."""
    query = _CHECKPOINTS.where(checkpoints.c.run_id == run_id).order_by(
        checkpoints.c.boundary.desc(), checkpoints.c.serial.desc()
    )
    return [Checkpoint(**row) for row in connection.execute(query).mappings()]


def list_latest_checkpoints(connection: sa.Connection) -> dict[str, Checkpoint]:
    """Return the furthest checkpoint of each run that has one, by run id."""
    query = _CHECKPOINTS.order_by(checkpoints.c.boundary, checkpoints.c.serial)
    return {row["run_id"]: Checkpoint(**row) for row in connection.execute(query).mappings()}


def load_checkpoint(connection: sa.Connection, checkpoint_id: str) -> Checkpoint:
    """Return the checkpoint of this id.

    Raises:
        NotFound: There is none, or it has been removed.
    """
    found = find_checkpoint(connection, checkpoint_id)
    if found is None:
        raise NotFound("checkpoint", checkpoint_id)
    return found


def find_checkpoint(connection: sa.Connection, checkpoint_id: str) -> Checkpoint | None:
    """Return the checkpoint of this id, unless it has been removed."""
    row = connection.execute(_CHECKPOINTS.where(checkpoints.c.checkpoint_id == checkpoint_id)).mappings().first()
    return None if row is None else Checkpoint(**row)


def find_checkpoint_at(connection: sa.Connection, uri: str) -> Checkpoint | None:
    """Return the newest checkpoint whose files lie at *uri*, unless it has been removed."""
    query = _CHECKPOINTS.where(checkpoints.c.uri == uri).order_by(checkpoints.c.serial.desc())
    row = connection.execute(query).mappings().first()
    return None if row is None else Checkpoint(**row)


def find_execution(connection: sa.Connection, execution_id: str) -> Execution | None:
    """Return the plugin execution of this id."""
    row = connection.execute(_EXECUTIONS.where(executions.c.execution_id == execution_id)).mappings().first()
    return None if row is None else Execution(**row)


def load_execution(connection: sa.Connection, execution_id: str) -> Execution:
    """Return the plugin execution of this id.

    Raises:
        NotFound: There is none.
    """
    found = find_execution(connection, execution_id)
    if found is None:
        raise execution_not_found(execution_id)
    return found


def execution_not_found(execution_id: str) -> NotFound:
    """Return the error that no plugin execution has this id."""
    return NotFound("execution", execution_id)


def list_executions(
    connection: sa.Connection,
    *,
    experiment: str | None = None,
    states: Collection[ExecutionState] | None = None,
    scope: Scope | None = None,
) -> list[Execution]:
    """Return plugin executions, oldest first.

    They are of one experiment, by name or id, or of all; in any of *states*; of one scope, or of any.
    """
    query = _EXECUTIONS.order_by(executions.c.serial)
    if experiment is not None:
        found = find_experiment(connection, experiment)
        if found is None:
            return []
        query = query.where(executions.c.experiment_id == found.experiment_id)
    if states is not None:
        query = query.where(executions.c.state.in_(list(states)))
    if scope is not None:
        query = query.where(executions.c.scope == scope)
    return [Execution(**row) for row in connection.execute(query).mappings()]
