from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from arena_ray.model.errors import RegistryError
from arena_ray.registry.store import Store
from arena_ray.registry.tables import metadata


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
        answers.append(child.communicate(timeout=90)[0])
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
