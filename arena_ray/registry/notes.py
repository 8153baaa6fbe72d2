"""How notes enter the registry. One is added as a row of its own, so that none is lost to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from arena_ray.model.records import Note
from arena_ray.registry.tables import notes

_COLUMNS = [column for column in notes.c if column.name not in ("serial", "call")]


@dataclass(frozen=True)
class NewNote:
    """A note, on an experiment, or one of its runs or revisions. ``call`` names it among those of one execution."""

    experiment_id: str
    text: str
    run_id: str | None = None
    revision_id: str | None = None
    execution_id: str | None = None
    call: str | None = None


def add_note(
    connection: sa.Connection, note: NewNote, *, now: datetime, new_id: Callable[[], str]
) -> tuple[Note, bool]:
    """Return the note as it is kept, and whether it is new; one of the same execution and call is not written twice."""
    if note.execution_id is not None:
        place = sa.and_(notes.c.execution_id == note.execution_id, notes.c.call == note.call)
        known = connection.execute(sa.select(*_COLUMNS).where(place)).mappings().first()
        if known is not None:
            return Note(**known), False
    note_id = new_id()
    connection.execute(notes.insert().values(note_id=note_id, created_at=now, **asdict(note)))
    row = connection.execute(sa.select(*_COLUMNS).where(notes.c.note_id == note_id)).mappings().one()
    return Note(**row), True


def list_notes(connection: sa.Connection, experiment_id: str) -> list[Note]:
    """Return the notes on an experiment, its runs and its revisions, oldest first."""
    query = sa.select(*_COLUMNS).where(notes.c.experiment_id == experiment_id).order_by(notes.c.serial)
    return [Note(**row) for row in connection.execute(query).mappings()]
