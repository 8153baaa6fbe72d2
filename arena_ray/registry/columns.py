"""Types of columns: values as Python has them, kept as every database can hold them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Dialect


class UtcTime(sa.TypeDecorator[datetime]):
    """A moment. Aware in, UTC out, also where the database keeps no time zone (SQLite)."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return *value* in UTC; a time without a zone is a mistake of the caller."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; the registry takes aware times only")
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored time, aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Measured(sa.TypeDecorator[float]):
    """A measured number. NaN, which SQLite cannot hold and PostgreSQL sorts above all others, is kept as NULL."""

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Return *value*, or None for NaN."""
        return None if value is None or math.isnan(value) else float(value)

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        """Return the number, NaN where none was kept."""
        return math.nan if value is None else value


class Word(sa.TypeDecorator[StrEnum]):
    """A member of a ``StrEnum``, kept as its value: a new member needs no new schema."""

    impl = sa.String
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        """Return the plain string: PostgreSQL's driver takes an enum for a type of the database."""
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        """Return the member."""
        return None if value is None else self.kind(value)


class Prose(sa.TypeDecorator[str]):
    """Text that may hold what a process printed. Half characters and NUL, which databases refuse, are replaced."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return *value* as text that any database takes."""
        return None if value is None else storable(value)


def storable(text: str) -> str:
    """Return *text* as any database takes it."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
