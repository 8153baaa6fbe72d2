"""Notes of a plugin execution, each under a name: one that a new process of the plugin repeats is not written twice."""

from __future__ import annotations

import itertools

from arena_ray.host.connection import Connection


class Notes:
    """Writes notes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = itertools.count()

    def add(self, text: str) -> None:
        """Write the plugin's next note, on the experiment."""
        self._connection.call("add_note", call=f"note {next(self._numbers)}", text=text)

    def warn(self, occasion: str, text: str, *, run_id: str) -> None:
        """Write down, once for each run, what the plugin did not ask for: whether it comes depends on the clock."""
        self._connection.call("add_note", call=f"{occasion} {run_id}", text=f"⚠️ {text}", run_id=run_id)
