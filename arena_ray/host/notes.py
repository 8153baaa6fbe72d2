"""Notes of a plugin execution, numbered: one that a new process of the plugin repeats is not written twice."""

from __future__ import annotations

import itertools

from arena_ray.host.connection import Connection


class Notes:
    """Writes notes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = itertools.count()

    def add(self, text: str, *, run_id: str | None = None) -> None:
        """Write a note on the experiment, or on one of its runs."""
        self._connection.call("add_note", number=next(self._numbers), text=text, run_id=run_id)
