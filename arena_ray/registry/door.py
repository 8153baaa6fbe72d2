"""What all parts of the store stand on: the database, the clock and the source of ids."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from arena_ray.model.errors import RegistryError
from arena_ray.model.naming import new_id as fresh_id
from arena_ray.registry.database import Database
from arena_ray.registry.schema import ensure_schema


def utc_now() -> datetime:
    """Return this moment, in UTC."""
    return datetime.now(UTC)


class Door:
    """A registry's database, opened."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Callable[[], datetime] = utc_now,
        new_id: Callable[[], str] = fresh_id,
        read_only: bool = False,
    ) -> Self:
        """Return the store at *url*, made or upgraded where it has to be, unless *read_only*.

        Args:
            url: As SQLAlchemy writes it: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.
            clock: Gives the time, aware.
            new_id: Gives ids that were never given before.
            read_only: Whether to leave the database as it is, whatever is asked of the store.

        Raises:
            RegistryError: It is missing and only to be read, damaged, of a newer schema, or something else's.
        """
        database = Database(url, read_only=read_only)
        try:
            database.ensure_place()
            ensure_schema(database)
        except RegistryError:
            database.close()
            raise
        return cls(database, clock=clock, new_id=new_id)

    def close(self) -> None:
        """Give up all connections. The store cannot be used any more."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
