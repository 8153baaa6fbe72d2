"""The journal of a plugin execution: what its function has called, in its order, and what it was answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from arena_ray.model.records import JournalEntry
from arena_ray.registry.tables import plugin_calls

_COLUMNS = [column for column in plugin_calls.c if column.name != "execution_id"]


def add_entry(connection: sa.Connection, execution_id: str, entry: JournalEntry) -> JournalEntry:
    """Write *entry* at its place, unless that is taken, and return what stands there then.

    It is counted with the one before it where the two are alike.
    """
    of_execution = plugin_calls.c.execution_id == execution_id
    query = sa.select(*_COLUMNS).where(of_execution).order_by(plugin_calls.c.number.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    last = JournalEntry(**row) if row is not None else None
    if last is not None and entry.number <= last.number + last.repeats:
        up_to_here = query.where(plugin_calls.c.number <= entry.number)
        return JournalEntry(**connection.execute(up_to_here).mappings().one())
    if last is not None and _is_repeated(last, entry):
        here = sa.and_(of_execution, plugin_calls.c.number == last.number)
        connection.execute(plugin_calls.update().where(here).values(repeats=last.repeats + 1))
        return last
    connection.execute(plugin_calls.insert().values(execution_id=execution_id, **entry.model_dump()))
    return entry


def _is_repeated(last: JournalEntry, entry: JournalEntry) -> bool:
    def content(each: JournalEntry) -> tuple[Any, ...]:
        return each.method, each.arguments, each.answer, each.error

    # Calls that were refused have a number and no place: two that are alike may have had one between them.
    is_next = entry.number == last.number + last.repeats + 1
    return is_next and None not in (last.ended_at, entry.ended_at) and content(last) == content(entry)


def end_entry(
    connection: sa.Connection,
    execution_id: str,
    number: int,
    *,
    answer: Any,
    error: dict[str, str] | None,
    now: datetime,
) -> None:
    """Write the answer of a call that was waiting."""
    here = sa.and_(plugin_calls.c.execution_id == execution_id, plugin_calls.c.number == number)
    waiting = plugin_calls.update().where(here, plugin_calls.c.ended_at.is_(None))
    connection.execute(waiting.values(answer=answer, error=error, ended_at=now))


def list_entries(connection: sa.Connection, execution_id: str) -> list[JournalEntry]:
    """Return the whole journal, by place."""
    query = sa.select(*_COLUMNS).where(plugin_calls.c.execution_id == execution_id).order_by(plugin_calls.c.number)
    return [JournalEntry(**row) for row in connection.execute(query).mappings()]
