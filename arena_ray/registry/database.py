"""The connection to the registry's database, and the one place that knows which database it is."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from arena_ray.model.errors import RegistryError

LOCK_TIMEOUT_S = 30.0
"""How long a writer of SQLite waits for another one."""

_WRITES = "arena_writes"

_NO_SPACE = "there is no space left on its disk; free some, then try again"
_DAMAGED = "it is damaged or not a registry; put a copy back, or move it away and start afresh"
_ADVICE = {
    "SQLITE_FULL": _NO_SPACE,
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_BUSY": f"another process has kept it locked for {LOCK_TIMEOUT_S:g} s; see which one, then try again",
    "SQLITE_CANTOPEN": "it cannot be opened; see that it is a file, and who may read and write it and its directory",
    "SQLITE_READONLY": "it must not be written; see who may write it and its directory",
    "SQLITE_IOERR": "its disk cannot be read or written; see that it is whole and has space left",
    "53100": _NO_SPACE,  # PostgreSQL's disk_full
}


class Database:
    """A database by URL. Connections are made on first use, one for each thread that needs one at a time."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._read_only = read_only
        self._closed = False
        address = _parse(url)
        self.path = _file_of(address)
        self.place = str(self.path) if self.path else address.render_as_string(hide_password=True)
        self._engine = self._make_engine(address)
        self._writer = self._engine.execution_options(**{_WRITES: True})
        # What SQLite does anyway: PostgreSQL else shows each statement another moment.
        self._reader = (
            self._engine.execution_options(isolation_level="REPEATABLE READ") if not self.path else self._engine
        )

    @property
    def read_only(self) -> bool:
        """Whether this process only reads."""
        return self._read_only

    def ensure_place(self) -> None:
        """Make the directory of a file that is to be made.

        Raises:
            RegistryError: It cannot be made, or the file is missing and only to be read, or no file.
        """
        if self.path is None:
            return
        if self._read_only and not self.path.exists():
            raise RegistryError(f"there is no registry at {self.path}; `arena run FILE` makes one")
        if self.path.is_dir():
            raise RegistryError(f"registry {self.path}: it cannot be opened: it is a directory; name a file in it")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise RegistryError(f"registry {self.path}: its directory cannot be made: {exc}") from exc

    def _make_engine(self, address: sa.URL) -> sa.Engine:
        if self.path is None:
            try:
                return sa.create_engine(address, pool_pre_ping=True)
            except ModuleNotFoundError as exc:
                raise RegistryError(
                    f"registry {self.place}: {exc}; install it with `pip install 'arena_ray[postgres]'`"
                ) from exc
        # As a file: URI, since only that can ask SQLite not to make a missing file.
        address = address.set(database=f"file:{quote(str(self.path))}")
        address = address.update_query_dict({"mode": "ro" if self._read_only else "rwc", "uri": "true"})
        engine = sa.create_engine(address, connect_args={"timeout": LOCK_TIMEOUT_S})
        sa.event.listen(engine, "connect", self._prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _prepare_sqlite(self, connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late to keep a read and a write together
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            if not self._read_only:
                self._use_wal(connection)
        except BaseException:
            connection.close()  # the pool never gets to see it
            raise

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        mode = None
        while mode is None:
            try:
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            except sqlite3.OperationalError as exc:
                # SQLite does not wait here as it does elsewhere: two that make a registry at once would fail.
                if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        if mode != "wal":
            raise RegistryError(
                f"registry {self.place}: its file system cannot share memory between processes, "
                "which SQLite's WAL needs; put the workspace on a local disk, or use a PostgreSQL registry"
            )

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection that sees one moment of the database, whoever writes meanwhile.

        Raises:
            RegistryError: The database cannot be read.
        """
        with self._explained(), self._reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Give a connection whose changes are all kept, on disk, when the block ends well, and else none.

        Raises:
            RegistryError: The database cannot be written.
        """
        if self._read_only:
            raise RegistryError(f"registry {self.place} was opened for reading only")
        with self._explained(), self._writer.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        if self._closed:
            raise RegistryError(f"registry {self.place} has been closed")
        try:
            yield
        except SQLAlchemyError as exc:
            raise RegistryError(f"registry {self.place}: {_explain(exc)}") from exc

    def close(self) -> None:
        """Give up all connections. Nothing can be read or written any more."""
        self._closed = True
        self._engine.dispose()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes the lock at once: one that began as a reader could not wait for it, only fail.
    is_writer = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")


def _parse(url: str) -> sa.URL:
    try:
        address = sa.make_url(url)
    except ArgumentError as exc:
        raise RegistryError(
            "the registry's URL cannot be read; write sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from exc
    if address.drivername == "postgresql":  # SQLAlchemy 2.0 and 2.1 differ in what they take it for
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() not in ("sqlite", "postgresql"):
        raise RegistryError(f"a registry cannot be kept in {address.drivername}; use sqlite or postgresql")
    return address


def _file_of(address: sa.URL) -> Path | None:
    if address.get_backend_name() != "sqlite":
        return None
    if address.database in (None, "", ":memory:"):
        raise RegistryError("a registry in memory would forget everything; name a file: sqlite:///FILE")
    return Path(str(address.database)).absolute()  # the process may change its directory later


def _explain(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None)
    code = str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or "")
    for prefix, advice in _ADVICE.items():
        if code.startswith(prefix):
            return f"{advice} ({cause})"
    return str(cause or error)
