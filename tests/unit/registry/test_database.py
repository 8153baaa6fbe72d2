from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from arena_ray.model.errors import RegistryError
from arena_ray.model.records import Run
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import RunState
from arena_ray.registry.database import Database
from arena_ray.registry.store import Store

WRITER = """
import sys
from arena_ray.model.spec import ExperimentSpec
from arena_ray.registry.store import Store

store = Store.open(sys.argv[1])
spec = ExperimentSpec(experiment="first", runner="cleanrl", script="ppo", env_id="CartPole-v1")
while True:
    run, _ = store.submit(spec, flags={}, script="ppo", bundle="b", force_new=True)
    store.begin_attempt(run.run_id, node="n", resumed_from=None)
    print(run.run_id, flush=True)
"""


@pytest.mark.parametrize("read_only", [True, False])
def test_a_writer_killed_in_the_middle_leaves_all_that_was_committed(
    tmp_path: Path, child_env: dict[str, str], read_only: bool
) -> None:
    url = f"sqlite:///{tmp_path}/registry.sqlite3"
    command = [sys.executable, "-c", textwrap.dedent(WRITER), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_env) as child:
        assert child.stdout is not None
        told = [child.stdout.readline().strip() for _ in range(25)]
        child.send_signal(signal.SIGKILL)
        told += child.stdout.read().split()
    assert child.returncode == -signal.SIGKILL
    assert (tmp_path / "registry.sqlite3-wal").exists()  # the last rows are in the log only

    with Store.open(url, read_only=read_only) as store:
        kept = {run.run_id: run for run in store.list_runs()}
    assert set(told) <= set(kept)
    assert len(kept) <= len(told) + 1
    assert all(kept[run_id].state is RunState.STARTING for run_id in told)
    with closing(sqlite3.connect(tmp_path / "registry.sqlite3")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_every_connection_keeps_what_it_was_told_and_minds_foreign_keys(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/registry.sqlite3")
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    with database.read() as reader, database.write() as writer:
        for connection in (reader, writer):
            values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
            assert values == ["wal", 2, 1, 30_000]  # 2 is FULL
    database.close()


def test_a_reader_sees_one_moment_while_others_write(bench: Any) -> None:
    bench.submit()
    database = Database(f"sqlite:///{bench.path}", read_only=True)
    with database.read() as reader:
        count = sa.text("SELECT count(*) FROM runs")
        assert reader.scalar(count) == 1
        bench.submit()
        assert reader.scalar(count) == 1
    database.close()
    assert len(bench.store.list_runs()) == 2


def test_readers_do_not_wait_for_a_writer(bench: Any) -> None:
    run = bench.submit()
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET state = 'failed'")
        with Store.open(f"sqlite:///{bench.path}", read_only=True) as reader:
            assert reader.list_runs() == [run]
        writer.execute("ROLLBACK")


def test_a_reader_sees_what_a_store_opened_before_it_wrote_after_it(bench: Any) -> None:
    with Store.open(f"sqlite:///{bench.path}", read_only=True) as reader:
        run = bench.submit()
        assert reader.list_runs() == [run]


def test_a_store_opened_for_reading_changes_nothing(bench: Any, spec_of: Callable[..., ExperimentSpec]) -> None:
    run = bench.submit()
    with Store.open(f"sqlite:///{bench.path}", read_only=True) as reader:
        with pytest.raises(RegistryError, match="opened for reading only"):
            reader.move_run(run.run_id, RunState.STOPPED)
        with pytest.raises(RegistryError, match="opened for reading only"):
            reader.submit(spec_of(), flags={}, script="ppo", bundle="b", force_new=True)
    assert bench.store.list_runs() == [run]


def test_the_database_itself_refuses_a_reader_that_writes(bench: Any) -> None:
    run = bench.submit()
    database = Database(f"sqlite:///{bench.path}", read_only=True)
    with pytest.raises(RegistryError, match="must not be written"), database.read() as connection:
        connection.exec_driver_sql("DELETE FROM runs")
    database.close()
    assert bench.store.list_runs() == [run]


def test_reading_a_registry_that_is_not_there_says_what_makes_one(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "registry.sqlite3"

    with pytest.raises(RegistryError, match=r"no registry at .*nowhere/registry\.sqlite3; `arena run FILE`"):
        Store.open(f"sqlite:///{path}", read_only=True)
    assert not path.parent.exists()


def _text(path: Path) -> None:
    path.write_text("experiment: first\n" * 100)


def _directory(path: Path) -> None:
    path.mkdir()


def _torn(path: Path) -> None:
    with Store.open(f"sqlite:///{path}"):
        pass
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


@pytest.mark.parametrize("spoil", [_text, _directory, _torn])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_is_no_registry_is_named(tmp_path: Path, spoil: Callable[[Path], None], read_only: bool) -> None:
    path = tmp_path / "registry.sqlite3"
    spoil(path)
    before = path.read_bytes() if path.is_file() else None

    with pytest.raises(RegistryError, match=r"registry .*/registry\.sqlite3: it (is damaged|cannot be opened)"):
        Store.open(f"sqlite:///{path}", read_only=read_only)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_directory_that_cannot_be_made_is_an_error_of_the_registry(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RegistryError, match="directory cannot be made"):
        Store.open(f"sqlite:///{tmp_path}/file/var/registry.sqlite3")


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Connections whose database may not grow by a single page."""

    def limit(connection: sqlite3.Connection, _entry: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    sa.event.listen(sa.Engine, "connect", limit)
    yield
    sa.event.remove(sa.Engine, "connect", limit)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_told_as_such_and_keeps_the_registry_whole(
    bench: Any, spec_of: Callable[..., ExperimentSpec]
) -> None:
    with Store.open(f"sqlite:///{bench.path}") as store:
        kept: list[Run] = []

        def fill() -> None:
            while len(kept) < 1000:
                kept.append(store.submit(spec_of(), flags={}, script="ppo", bundle="b", force_new=True)[0])

        with pytest.raises(RegistryError, match=r"registry\.sqlite3: there is no space left"):
            fill()
        assert store.list_runs() == kept


def test_times_are_kept_in_utc_whatever_zone_they_were_given_in(bench: Any, tmp_path: Path) -> None:
    moment = datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=timezone(timedelta(hours=-7)))
    bench.clock.now = moment
    run = bench.submit()

    assert run.created_at == moment
    assert run.created_at.tzinfo is UTC
    assert bench.rows("SELECT created_at FROM runs") == [("2026-05-06 14:08:09.123456",)]


def test_a_time_without_a_zone_is_refused(bench: Any) -> None:
    bench.clock.now = datetime(2026, 1, 1)

    with pytest.raises(RegistryError, match="no time zone"):
        bench.submit()


def test_a_relative_path_stays_where_it_was_when_the_process_moves_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec_of: Callable[..., ExperimentSpec]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open("sqlite:///here/registry.sqlite3") as store:
        monkeypatch.chdir("/")
        store.submit(spec_of(), flags={}, script="ppo", bundle="b")
        assert (tmp_path / "here" / "registry.sqlite3").exists()


def test_a_path_may_hold_what_a_url_would_take_for_its_own(tmp_path: Path) -> None:
    path = tmp_path / "50% of #1 möbius" / "registry.sqlite3"
    with Store.open(f"sqlite:///{path}") as store:
        assert store.list_runs() == []
    assert path.exists()
    with Store.open(f"sqlite:///{path}", read_only=True) as store:
        assert store.list_runs() == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("registry.sqlite3", "sqlite:///FILE"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("mysql://root:secret@host/arena", "use sqlite or postgresql"),
    ],
)
def test_a_url_that_cannot_hold_a_registry_is_refused(url: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message) as caught:
        Store.open(url)
    assert "secret" not in str(caught.value)


def test_a_postgresql_that_does_not_answer_is_named_without_its_password() -> None:
    # Where the driver is not installed the message says how to install it; the password is in neither.
    with pytest.raises(RegistryError, match=r"registry postgresql.*127\.0\.0\.1") as caught:
        Store.open("postgresql://arena:secret@127.0.0.1:1/arena?connect_timeout=2")
    assert "secret" not in str(caught.value)


def test_a_closed_store_says_so(bench: Any) -> None:
    bench.store.close()

    with pytest.raises(RegistryError, match="has been closed"):
        bench.store.list_runs()
