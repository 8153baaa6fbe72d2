"""How versions of deployed policies enter the registry, and the moves between their states."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from arena_ray.model.errors import ArenaError, IllegalTransition, NotFound, rebuild_error
from arena_ray.model.records import PolicyVersion
from arena_ray.model.states import POLICY_MOVES, ExecutionState, PolicyState, RunState, policy_sources_of
from arena_ray.registry.tables import executions, policy_versions, runs

_COLUMNS = [column for column in policy_versions.c if column.name != "serial"]


@dataclass(frozen=True)
class NewVersion:
    """A checkpoint that is to answer under a name; without a digest where its files are not there (yet)."""

    name: str
    run_id: str
    checkpoint_id: str
    digest: str


@dataclass(frozen=True)
class Wish:
    """A run, or a plugin execution, that has completed and whose file asks for a policy."""

    name: str
    select: str
    run_id: str | None
    execution_id: str | None


def add_version(connection: sa.Connection, new: NewVersion, *, now: datetime) -> int:
    """Return the number of the version that was added, ``loading``: the next one of its name, from 1 on."""
    newest = sa.select(sa.func.max(policy_versions.c.version)).where(policy_versions.c.name == new.name)
    number = (connection.scalar(newest) or 0) + 1
    row = asdict(new) | {"version": number, "state": PolicyState.LOADING, "created_at": now}
    connection.execute(policy_versions.insert().values(**row))
    return number


def list_versions(
    connection: sa.Connection, *, name: str | None = None, states: Collection[PolicyState] | None = None
) -> list[PolicyVersion]:
    """Return versions, newest first: of one policy or all, in any of *states* or whichever."""
    query = sa.select(*_COLUMNS).order_by(policy_versions.c.serial.desc())
    if name is not None:
        query = query.where(policy_versions.c.name == name)
    if states is not None:
        query = query.where(policy_versions.c.state.in_(list(states)))
    return [PolicyVersion(**row) for row in connection.execute(query).mappings()]


def load_version(connection: sa.Connection, name: str, version: int) -> PolicyVersion:
    """Return one version of a policy.

    Raises:
        NotFound: There is none of this number.
    """
    of_name = list_versions(connection, name=name)
    found = next((one for one in of_name if one.version == version), None)
    if found is None:
        raise NotFound("version", f"{version} of policy {name}", known=[str(one.version) for one in of_name])
    return found


def complete_version(connection: sa.Connection, name: str, version: int, *, digest: str) -> None:
    """Record the *digest* of a version that was added without one, and is ``loading``.

    Raises:
        NotFound: There is no such version.
        IllegalTransition: It has its digest, or is not ``loading`` any more.
    """
    changed = connection.execute(
        policy_versions.update()
        .where(policy_versions.c.name == name, policy_versions.c.version == version)
        .where(policy_versions.c.state == PolicyState.LOADING, policy_versions.c.digest == "")
        .values(digest=digest)
    ).rowcount
    if not changed:
        raise _illegal(load_version(connection, name, version), PolicyState.LOADING)


def move_version(
    connection: sa.Connection, name: str, version: int, *, target: PolicyState, reason: str | None, now: datetime
) -> None:
    """Move a version to *target*. Where it begins to serve, the one that did so before is replaced.

    Raises:
        NotFound: There is no such version.
        IllegalTransition: The table of moves does not have this one.
    """
    values: dict[str, Any] = {"state": target, "reason": reason, "ended_at": now if target.is_final else None}
    of_name = policy_versions.c.name == name
    changed = connection.execute(
        policy_versions.update()
        .where(of_name, policy_versions.c.version == version)
        .where(policy_versions.c.state.in_(policy_sources_of(target)))
        .values(**values)
    ).rowcount
    if not changed:
        raise _illegal(load_version(connection, name, version), target)
    if target is PolicyState.SERVING:
        connection.execute(
            policy_versions.update()
            .where(of_name, policy_versions.c.version != version, policy_versions.c.state == PolicyState.SERVING)
            .values(state=PolicyState.REPLACED, reason=f"version {version} answers", ended_at=now)
        )


def _illegal(found: PolicyVersion, target: PolicyState) -> ArenaError:
    moves = ", ".join(sorted(POLICY_MOVES[found.state])) or "nothing: it has ended"
    message = (
        f"version {found.version} of policy {found.name} is {found.state} and cannot become {target}; "
        f"from here it may become {moves}"
    )
    data = {"run": found.run_id, "state": found.state, "target": target}
    return rebuild_error(IllegalTransition, message, data)


def list_wishes(connection: sa.Connection) -> list[Wish]:
    """Return what has completed and asks for a policy that was never tried to be deployed, oldest first."""
    alone = sa.select(runs.c.run_id, runs.c.deploy).where(
        runs.c.state == RunState.COMPLETED, runs.c.execution_id.is_(None), runs.c.deploy.is_not(None)
    )
    wishes = [
        Wish(row.deploy["name"], row.deploy["select"], run_id=row.run_id, execution_id=None)
        for row in connection.execute(alone.order_by(runs.c.serial)).all()
        if row.deploy
    ]
    steered = sa.select(executions.c.execution_id, executions.c.spec).where(
        executions.c.state == ExecutionState.COMPLETED
    )
    for row in connection.execute(steered.order_by(executions.c.serial)).all():
        deploy = row.spec.get("deploy")
        if deploy:
            wishes.append(Wish(deploy["name"], deploy["select"], run_id=None, execution_id=row.execution_id))
    return [wish for wish in wishes if not _was_tried(connection, wish)]


def _was_tried(connection: sa.Connection, wish: Wish) -> bool:
    of_wish = runs.c.run_id == wish.run_id if wish.run_id else runs.c.execution_id == wish.execution_id
    query = (
        sa.select(policy_versions.c.version)
        .join(runs, policy_versions.c.run_id == runs.c.run_id)
        .where(policy_versions.c.name == wish.name, of_wish)
        .limit(1)
    )
    return connection.scalar(query) is not None
