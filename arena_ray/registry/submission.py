"""How a checked experiment file becomes an experiment, a revision and a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from arena_ray.model.errors import IllegalTransition, SpecError, rebuild_error
from arena_ray.model.naming import id_of, run_name
from arena_ray.model.spec import ExperimentSpec, FlagValue
from arena_ray.model.states import FINAL_STATES, Intent, RunState
from arena_ray.registry.queries import execution_not_found
from arena_ray.registry.tables import executions, experiments, revisions, runs

_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Submission:
    """What is to be run: the file, and what the runner made of it. ``bundle`` is the digest of the script's files."""

    spec: ExperimentSpec
    flags: Mapping[str, FlagValue]
    script: str
    bundle: str

    def __post_init__(self) -> None:
        if self.spec.seed > _LARGEST_SEED:
            raise SpecError(f"'seed': {self.spec.seed} is too large for the registry; use at most {_LARGEST_SEED}")

    def digest(self) -> str:
        """Return the sha256 of what makes a revision: the spec's own digest and the script's files."""
        return hashlib.sha256((self.spec.digest() + self.bundle).encode()).hexdigest()


@dataclass(frozen=True)
class Seat:
    """A run's place among the runs of a plugin execution: each has one run for good."""

    execution_id: str
    member: int


@dataclass(frozen=True)
class Authorship:
    """The call that makes a revision, and what it says of it. One call makes one revision for good."""

    execution_id: str | None
    """The plugin execution whose call it is; None for the user's."""
    call: str
    """Which one of the execution's calls, such as ``revision 3``; or one of the user's, unlike all others."""
    parent_id: str
    name: str | None = None
    notes: str | None = None

    def digest(self) -> str:
        """Return what stands for the digest of such a revision, which may be equal to others in all but its name."""
        return hashlib.sha256(f"{self.execution_id or ''}/{self.call}".encode()).hexdigest()


def add_submission(
    connection: sa.Connection,
    submission: Submission,
    *,
    seat: Seat | None,
    force_new: bool,
    now: datetime,
    new_id: Callable[[], str],
    revision_id: str | None = None,
    description: str | None = None,
    key: str | None = None,
) -> tuple[str, bool]:
    """Return the id of the submission's run, and whether that was made now.

    It was not if its *seat* is taken; or, of one without, if the same revision and seed has an unfinished run that has
    none either, and *force_new* does not ask for another.

    The run is of *revision_id* where that is given, which must exist. What was made for a request of this *key* is made
    for it now, too: its answer was lost.

    Raises:
        NotFound: There is no such execution.
        IllegalTransition: The execution has ended, and the seat is empty.
    """
    experiment_id = ensure_experiment(connection, submission.spec, now=now, new_id=new_id)
    if seat is not None and (run_id := _seated_run(connection, seat)):
        return run_id, False
    made_id = id_of(key) if key else new_id()
    if key and connection.scalar(sa.select(runs.c.serial).where(runs.c.run_id == made_id)):
        return made_id, True
    if revision_id is None:
        revision_id = ensure_revision(connection, submission, experiment_id=experiment_id, now=now, new_id=new_id)
    seed = submission.spec.seed
    alone = seat is None and not force_new
    if alone and (run_id := _unfinished_run(connection, revision_id=revision_id, seed=seed)):
        connection.execute(runs.update().where(runs.c.run_id == run_id).values(deploy=_deploy(submission)))
        return run_id, False
    row = {"run_id": made_id, "experiment_id": experiment_id, "revision_id": revision_id, "created_at": now}
    row["description"] = description
    _add_run(connection, submission, row | (asdict(seat) if seat is not None else {}), now=now)
    return made_id, True


def _add_run(connection: sa.Connection, submission: Submission, row: dict[str, Any], *, now: datetime) -> None:
    parts = submission.spec.env_id, submission.script, submission.spec.seed
    name = run_name(*parts, at=now)
    if connection.scalar(sa.select(runs.c.run_id).where(runs.c.name == name)) is not None:
        name = run_name(*parts, at=now, suffix=row["run_id"])
    connection.execute(
        runs.insert().values(
            name=name,
            seed=submission.spec.seed,
            state=RunState.QUEUED,
            intent=Intent.NONE,
            attempt=0,
            boundary=0,
            global_step=0,
            hyperparameters=dict(submission.spec.hyperparameters),
            generation=0,
            deploy=_deploy(submission),
            **row,
        )
    )


def _deploy(submission: Submission) -> dict[str, Any] | None:
    """Return what the run is to be deployed as once it has completed: what was asked last counts."""
    return submission.spec.deploy.model_dump(mode="json") if submission.spec.deploy else None


def ensure_experiment(
    connection: sa.Connection, spec: ExperimentSpec, *, now: datetime, new_id: Callable[[], str]
) -> str:
    """Return the id of the experiment that *spec* names, made now where there was none."""
    # Where rows can be locked, the experiment's is: submissions to it come one after the other.
    query = sa.select(experiments.c.experiment_id).where(experiments.c.name == spec.experiment).with_for_update()
    known: str | None = connection.scalar(query)
    if known is not None:
        return known
    experiment_id = new_id()
    row = {"experiment_id": experiment_id, "name": spec.experiment, "project": spec.project, "created_at": now}
    try:
        with connection.begin_nested():
            connection.execute(experiments.insert().values(**row))
    except IntegrityError:  # there was no row to lock yet, and another submission made it
        return str(connection.execute(query).scalar_one())
    return experiment_id


def ensure_revision(
    connection: sa.Connection,
    submission: Submission,
    *,
    experiment_id: str,
    now: datetime,
    new_id: Callable[[], str],
    author: Authorship | None = None,
) -> str:
    """Return the id of the submission's revision, made now where the experiment has none of its digest.

    With an *author* it is the revision of that call.
    """
    of_experiment = sa.select(revisions.c.revision_id, revisions.c.number).where(
        revisions.c.experiment_id == experiment_id
    )
    digest = author.digest() if author else submission.digest()
    known: str | None = connection.scalar(of_experiment.where(revisions.c.digest == digest))
    if known is not None:
        return known
    latest = connection.execute(of_experiment.order_by(revisions.c.number.desc()).limit(1)).first()
    revision_id, spec = new_id(), submission.spec.model_dump(mode="json")
    connection.execute(
        revisions.insert().values(
            revision_id=revision_id,
            experiment_id=experiment_id,
            number=1 if latest is None else latest.number + 1,
            parent_id=author.parent_id if author else latest and latest.revision_id,
            digest=digest,
            script=submission.script,
            bundle=submission.bundle,
            flags=dict(submission.flags),
            created_at=now,
            **({"name": author.name, "notes": author.notes, "execution_id": author.execution_id} if author else {}),
            **{key: spec[key] for key in ("runner", "env_id", "hyperparameters", "config", "resources", "checkpoint")},
        )
    )
    return revision_id


def _unfinished_run(connection: sa.Connection, *, revision_id: str, seed: int) -> str | None:
    query = (
        sa.select(runs.c.run_id)
        .where(
            runs.c.revision_id == revision_id,
            runs.c.seed == seed,
            runs.c.state.not_in(list(FINAL_STATES)),
            runs.c.execution_id.is_(None),
        )
        .order_by(runs.c.serial.desc())
        .limit(1)
    )
    run_id: str | None = connection.scalar(query)
    return run_id


def _seated_run(connection: sa.Connection, seat: Seat) -> str | None:
    # The lock keeps the execution open until the run is in.
    execution = connection.execute(
        sa.select(executions.c.state).where(executions.c.execution_id == seat.execution_id).with_for_update()
    ).first()
    if execution is None:
        raise execution_not_found(seat.execution_id)
    in_seat = sa.and_(runs.c.execution_id == seat.execution_id, runs.c.member == seat.member)
    run_id: str | None = connection.scalar(sa.select(runs.c.run_id).where(in_seat))
    if run_id is None and execution.state.is_final:
        message = f"execution {seat.execution_id} is {execution.state} and takes no more runs; start another one"
        data = {"run": seat.execution_id, "state": execution.state, "target": RunState.QUEUED}
        raise rebuild_error(IllegalTransition, message, data)
    return run_id
