"""Notes of a plugin execution, each under a name: one that a new process of the plugin repeats is not written twice."""

from __future__ import annotations

import itertools
from typing import Any

from arena_ray.host.connection import Connection
from arena_ray.model.errors import PluginMistake

TARGETS = ("experiment", "run", "revision")


class Notes:
    """Writes notes.

    Args:
        connection: Where they go.
        scope: What the plugin is at work on.
        occasion: What the name of each note begins with that bears no key: empty where there is one function call only.
    """

    def __init__(self, connection: Connection, *, scope: str, occasion: str = "") -> None:
        self._connection = connection
        self._scope = scope
        self._occasion = occasion
        self._numbers = itertools.count()
        self.last: dict[str, str] = {}
        """The run and the revision, by id, that notes on ``run`` and ``revision`` are about."""

    def add(self, text: str, target_type: str | None, *, key: str | None) -> bool:
        """Write a note on what *target_type* means here, and return whether it was not there yet.

        Raises:
            PluginMistake: It means nothing.
        """
        target = target_type or self._scope
        if target not in TARGETS:
            raise PluginMistake(f"target_type is one of {', '.join(TARGETS)}, not {target!r}")
        if target == "experiment":
            return self.add_on("experiment", "", text, key=key)
        if target not in self.last:
            raise PluginMistake(f"a note on a {target} was to be written before this execution has made one")
        return self.add_on(target, self.last[target], text, key=key)

    def add_on(self, target: str, target_id: str, text: str, *, key: str | None) -> bool:
        """Write a note on the experiment, or on the run or the revision of this id; return whether it is new."""
        about: dict[str, Any] = {} if target == "experiment" else {f"{target}_id": target_id}
        name = f"note {self._occasion}{next(self._numbers)}" if key is None else f"{key} of {target_id or target}"
        return bool(self._connection.call("add_note", call=name, text=text, **about))
