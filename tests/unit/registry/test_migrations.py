"""Registries of every schema there ever was, brought up to the newest."""

from __future__ import annotations

import io
import math
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from arena_ray.model.errors import RegistryError
from arena_ray.model.states import (
    AttemptOutcome,
    ExecutionState,
    ExploitCause,
    ExploitOutcome,
    Intent,
    PolicyState,
    Resume,
    RunState,
)
from arena_ray.registry.schema import MIGRATIONS, SCHEMAS
from arena_ray.registry.store import Store
from arena_ray.registry.tables import metadata

DATA = Path(__file__).parents[2] / "data"

RUNS = {"0001": 5, "0002": 8, "0003": 9, "0004": 9, "0005": 9}

SCRIPTS = ScriptDirectory(str(MIGRATIONS))


@pytest.fixture
def kept(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store of schema 0001, or of the one that the test asks for, as it was kept, opened and so upgraded."""
    path = tmp_path / "registry.sqlite3"
    shutil.copy(DATA / f"registry_{getattr(request, 'param', '0001')}.sqlite3", path)
    with Store.open(f"sqlite:///{path}") as store:
        yield store


def _rows(path: Path, columns: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """Return the columns of each table of the file, or those of *columns*, with all rows."""
    found: dict[str, Any] = {}
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in columns or tables:
            names = columns[table] if columns else [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            found[table] = names, connection.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()
    return found


def test_every_migration_is_known_in_its_order() -> None:
    newest_first = [script.revision for script in SCRIPTS.walk_revisions()]
    assert tuple(reversed(newest_first)) == SCHEMAS


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_registry_of_every_schema_is_kept_and_can_be_brought_up_to_date(tmp_path: Path, schema: str) -> None:
    path = tmp_path / "registry.sqlite3"
    shutil.copy(DATA / f"registry_{schema}.sqlite3", path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema,)]
    with Store.open(f"sqlite:///{path}") as store:
        assert len(store.list_runs()) == RUNS[schema]
        assert store.list_checkpoints(store.list_runs()[0].run_id) != []
    assert _differences(path) == []


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_upgrade_loses_nothing(tmp_path: Path, schema: str) -> None:
    path = tmp_path / "registry.sqlite3"
    shutil.copy(DATA / f"registry_{schema}.sqlite3", path)
    before = _rows(path)
    del before["alembic_version"]
    Store.open(f"sqlite:///{path}").close()

    assert _rows(path, {table: columns for table, (columns, _) in before.items()}) == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_runs_of_schema_0001_are_read_as_they_were_written(kept: Store) -> None:
    runs = kept.list_runs()

    assert [run.state for run in runs] == [
        RunState.COMPLETED,
        RunState.FAILED,
        RunState.PAUSED,
        RunState.RUNNING,
        RunState.QUEUED,
    ]
    completed, failed, _, running, _ = runs
    assert completed.name == "CartPole-v1__ppo__1__1767323045"
    assert completed.started_at == datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
    assert (completed.global_step, completed.episodic_return) == (1024, 475.25)
    assert failed.reason == "ValueError, exit code 1"
    assert math.isnan(failed.episodic_return)
    assert (running.intent, running.attempt, running.node) == (Intent.STOP, 2, "node-b")


def test_runs_of_schema_0001_get_the_hyperparameters_of_their_revision(kept: Store) -> None:
    runs = kept.list_runs()
    changed = {"learning_rate": 0.001, "layers": [64, 64], "anneal": True}

    assert [run.hyperparameters for run in runs] == [{}, {}, changed, changed, {}]
    assert {(run.generation, run.execution_id, run.member) for run in runs} == {(0, None, None)}
    assert [checkpoint.generation for checkpoint in kept.list_checkpoints(runs[0].run_id)] == [0, 0]
    assert kept.lineage("first").execution is None
    assert kept.held_checkpoints(runs[0].run_id) == set()


def test_what_belongs_to_the_runs_of_schema_0001_is_read_too(kept: Store) -> None:
    newest, oldest = kept.list_experiments()
    first, second = kept.list_revisions(oldest.experiment_id)
    lost, _open = kept.list_attempts(kept.list_runs(states=[RunState.RUNNING])[0].run_id)

    assert (newest.name, oldest.name, oldest.project) == ("second", "first", "robots")
    assert second.parent_id == first.revision_id
    assert second.hyperparameters == {"learning_rate": 0.001, "layers": [64, 64], "anneal": True}
    assert (second.resources.gpu, second.checkpoint.keep_best) == (0.5, 3)
    assert lost.outcome is AttemptOutcome.LOST
    # Of three checkpoints one has been removed.
    far, near = kept.list_checkpoints(kept.list_runs()[0].run_id)
    assert (far.boundary, far.is_final, near.boundary) == (8, True, 4)


@pytest.mark.parametrize("kept", ["0002"], indirect=True)
def test_executions_of_schema_0002_are_read_as_they_were_written(kept: Store) -> None:
    ended, execution = kept.list_executions()
    donor, clone, diverged = kept.list_runs(execution_id=execution.execution_id)

    assert (ended.state, ended.reason) == (ExecutionState.STOPPED, "stopped by the user")
    assert (execution.state, execution.plugin, execution.experiment) == (ExecutionState.RUNNING, "pbt", "third")
    assert execution.settings == {"population": 3, "perturbation_interval": 512}
    assert execution.spec.plugin is not None
    assert execution.spec.plugin.settings == execution.settings
    assert kept.execution_source(execution.execution_id).flags == {"total_timesteps": 4096}
    assert [run.member for run in (donor, clone, diverged)] == [0, 1, 2]
    assert (clone.generation, clone.hyperparameters) == (1, {"learning_rate": 0.0012, "gamma": 0.99})
    assert kept.list_attempts(diverged.run_id)[0].outcome is AttemptOutcome.PREEMPTED
    assert [checkpoint.generation for checkpoint in kept.list_checkpoints(clone.run_id)] == [1, 0]


@pytest.mark.parametrize("kept", ["0002"], indirect=True)
def test_the_lineage_of_schema_0002_is_read_as_it_was_written(kept: Store) -> None:
    lineage = kept.lineage("third")
    donor, clone, diverged = lineage.runs
    applied, failed, committed = lineage.exploits

    assert [(each.number, each.generation) for each in lineage.milestones] == [(1, 0), (1, 0), (1, 0), (2, 0), (2, 1)]
    assert [each.run_id for each in lineage.exploits] == [clone.run_id, diverged.run_id, clone.run_id]
    assert (applied.outcome, applied.cause, applied.donor_score) == (ExploitOutcome.APPLIED, ExploitCause.QUANTILE, 195)
    assert (failed.outcome, failed.cause, failed.reason) == ("failed", ExploitCause.DIVERGED, "shapes differ")
    assert (committed.outcome, committed.generation, committed.milestone) == (ExploitOutcome.COMMITTED, 2, 2)
    assert committed.hyperparameters_before["learning_rate"] == 0.0012
    assert committed.donor_checkpoint_id in kept.held_checkpoints(donor.run_id)


@pytest.mark.parametrize("kept", ["0003"], indirect=True)
def test_what_plugins_wrote_in_schema_0003_is_read_as_it_was_written(kept: Store) -> None:
    [execution] = kept.list_executions(experiment="fourth")
    base, made = kept.list_revisions(execution.experiment_id)
    [run] = kept.list_runs(execution_id=execution.execution_id)
    begun, warned = kept.list_notes(execution.experiment_id)

    assert execution.revision_id == base.revision_id == made.parent_id
    assert (made.name, made.notes, made.execution_id) == ("Test-Config", "a first try", execution.execution_id)
    assert made.hyperparameters == {"learning_rate": 0.001}
    assert (run.revision_id, run.description) == (made.revision_id, "Testing hyperparameters")
    assert (begun.text, begun.execution_id, begun.run_id) == ("📊 begun", execution.execution_id, None)
    assert (warned.text, warned.execution_id, warned.run_id) == ("no return", None, run.run_id)


@pytest.mark.parametrize("kept", ["0003"], indirect=True)
def test_policies_of_schema_0003_are_read_as_they_were_written(kept: Store) -> None:
    found = [(each.name, each.version, each.state, each.reason) for each in kept.list_policy_versions()]

    assert sorted(found) == [
        ("broken", 1, PolicyState.FAILED, "it does not act"),
        ("cartpole", 1, PolicyState.REPLACED, "version 2 answers"),
        ("cartpole", 2, PolicyState.SERVING, None),
    ]


@pytest.mark.parametrize("kept", ["0004"], indirect=True)
def test_how_runs_of_schema_0004_resume_is_read_as_it_was_written(kept: Store) -> None:
    completed, failed, _, running, _ = kept.list_runs()[:5]

    assert (completed.resume, completed.resume_reason) == (Resume.EXACT, None)
    assert (running.resume, running.resume_reason) == (Resume.WARM, "not captured: envs (TypeError: no)")
    assert failed.resume is Resume.WARM


@pytest.mark.parametrize("kept", ["0001", "0002", "0003"], indirect=True)
def test_nothing_is_claimed_of_runs_that_an_older_version_made(kept: Store) -> None:
    assert {(run.resume, run.resume_reason) for run in kept.list_runs()} == {(Resume.WARM, None)}


@pytest.mark.parametrize("kept", SCHEMAS, indirect=True)
def test_an_upgraded_registry_can_be_written(kept: Store) -> None:
    queued = kept.list_runs(states=[RunState.QUEUED])[0]

    assert kept.begin_attempt(queued.run_id, node="node-c", resumed_from=None).number == 1


def _differences(path: Path) -> list[Any]:
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
    engine.dispose()
    return list(differences)


def test_the_migrations_make_the_tables_that_the_code_knows(bench: Any) -> None:
    assert _differences(bench.path) == []


def test_an_upgrade_that_fails_leaves_the_registry_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite3"
    shutil.copy(DATA / "registry_0001.sqlite3", path)
    before = _rows(path)

    def refuse(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "CREATE TABLE exploits" in statement:
            raise sqlite3.OperationalError("no more")

    sa.event.listen(sa.Engine, "before_cursor_execute", refuse)
    try:
        with pytest.raises((RegistryError, sqlite3.OperationalError), match="no more"):
            Store.open(f"sqlite:///{path}")
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", refuse)
    assert _rows(path) == before
    with Store.open(f"sqlite:///{path}") as store:
        assert len(store.list_runs()) == 5


def test_the_migrations_can_be_carried_out_in_postgresql() -> None:
    output = io.StringIO()
    options = {"as_sql": True, "output_buffer": output}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with Operations.context(context):
        for schema in SCHEMAS:
            SCRIPTS.get_revision(schema).module.upgrade()

    made = output.getvalue()
    assert made.count("CREATE TABLE") == len(metadata.tables)
    assert "TIMESTAMP WITH TIME ZONE" in made
    for table in metadata.tables.values():
        assert [column.name for column in table.columns if f"{column.name} " not in made] == []
