from __future__ import annotations

import io
import math
import shutil
import sqlite3
import subprocess
import sys
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
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from arena_ray.model.errors import RegistryError
from arena_ray.model.states import AttemptOutcome, Intent, RunState
from arena_ray.registry.schema import MIGRATIONS, SCHEMAS
from arena_ray.registry.store import Store
from arena_ray.registry.tables import metadata

DATA = Path(__file__).parents[2] / "data"

SCRIPTS = ScriptDirectory(str(MIGRATIONS))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    """A store of schema 0001 as it was kept, opened and so upgraded by this version."""
    path = tmp_path / "registry.sqlite3"
    shutil.copy(DATA / "registry_0001.sqlite3", path)
    with Store.open(f"sqlite:///{path}") as store:
        yield store


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
        assert len(store.list_runs()) == 5
        assert store.list_checkpoints(store.list_runs()[0].run_id) != []
    assert _differences(path) == []


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


def test_an_upgraded_registry_can_be_written(kept: Store) -> None:
    (queued,) = kept.list_runs(states=[RunState.QUEUED])

    assert kept.begin_attempt(queued.run_id, node="node-c", resumed_from=None).number == 1


def _differences(path: Path) -> list[Any]:
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
    engine.dispose()
    return list(differences)


def test_the_migrations_make_the_tables_that_the_code_knows(bench: Any) -> None:
    assert _differences(bench.path) == []


def _set_schema(path: Path, schema: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (schema,))
        connection.commit()


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_schema_is_refused_and_left_alone(bench: Any, read_only: bool) -> None:
    _set_schema(bench.path, "0999")

    with pytest.raises(RegistryError, match=r"has schema 0999, made by a newer arena_ray .* upgrade arena_ray"):
        Store.open(f"sqlite:///{bench.path}", read_only=read_only)
    assert bench.rows("SELECT version_num FROM alembic_version") == [("0999",)]


@pytest.mark.parametrize("read_only", [True, False])
def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "recipes.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name)")
        connection.commit()

    with pytest.raises(RegistryError, match=r"something else \(tables recipes\)"):
        Store.open(f"sqlite:///{path}", read_only=read_only)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


def test_an_empty_file_becomes_a_registry_but_not_for_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite3"
    path.touch()

    with pytest.raises(RegistryError, match="holds no registry yet; `arena run FILE`"):
        Store.open(f"sqlite:///{path}", read_only=True)
    assert path.stat().st_size == 0
    with Store.open(f"sqlite:///{path}") as store:
        assert store.list_runs() == []


def test_a_migration_that_fails_leaves_nothing_half_made(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite3"

    def refuse(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "CREATE TABLE checkpoints" in statement:
            raise sqlite3.OperationalError("no more")

    sa.event.listen(sa.Engine, "before_cursor_execute", refuse)
    try:
        with pytest.raises((RegistryError, sqlite3.OperationalError), match="no more"):
            Store.open(f"sqlite:///{path}")
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", refuse)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    with Store.open(f"sqlite:///{path}") as store:
        assert store.list_runs() == []


OPENER = """
import sys
from arena_ray.registry.store import Store

sys.stdin.readline()
with Store.open(sys.argv[1]) as store:
    print(len(store.list_runs()))
"""


def test_processes_that_make_a_registry_at_once_all_get_it(tmp_path: Path, child_env: dict[str, str]) -> None:
    command = [sys.executable, "-c", OPENER, f"sqlite:///{tmp_path}/registry.sqlite3"]
    pipe = subprocess.PIPE
    children = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=child_env) for _ in range(4)]

    answers = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        answers.append(child.communicate(timeout=30)[0])
    assert answers == ["0\n"] * 4


def test_opening_a_current_registry_does_not_load_alembic(bench: Any, child_env: dict[str, str]) -> None:
    code = (
        "import sys; from arena_ray.registry.store import Store; "
        f"Store.open('sqlite:///{bench.path}', read_only=True).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child_env, check=True)
    assert done.stdout == "False\n"


def test_the_tables_can_be_made_in_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    made = "".join(str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables)
    for table in metadata.sorted_tables:
        for index in table.indexes:
            made += str(CreateIndex(index).compile(dialect=dialect))

    assert "TIMESTAMP WITH TIME ZONE" in made
    assert "DOUBLE PRECISION" in made
    assert "serial SERIAL NOT NULL" in made


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_migrations_can_be_carried_out_in_postgresql(schema: str) -> None:
    output = io.StringIO()
    options = {"as_sql": True, "output_buffer": output}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with Operations.context(context):
        SCRIPTS.get_revision(schema).module.upgrade()

    if schema == "0001":
        assert output.getvalue().count("CREATE TABLE") == len(metadata.tables)
        assert "TIMESTAMP WITH TIME ZONE" in output.getvalue()
