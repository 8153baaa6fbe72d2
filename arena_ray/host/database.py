"""``api.db``: the registry, to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arena_ray.host.connection import Connection


class RegistryTable:
    """See :class:`arena_ray.plugin.protocol.Table`."""

    def __init__(self, connection: Connection, kind: str) -> None:
        self._connection = connection
        self._kind = kind

    def find(self, query: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows whose values equal those of *query*, oldest first; all without one."""
        rows: list[dict[str, Any]] = self._connection.call("find", kind=self._kind)
        return [row for row in rows if all(row.get(key) == value for key, value in (query or {}).items())]

    def find_one(self, query: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the newest of those rows, or None."""
        return next(reversed(self.find(query)), None)


class RegistryDatabase:
    """See :class:`arena_ray.plugin.protocol.Database`."""

    def __init__(self, connection: Connection) -> None:
        self.experiments = RegistryTable(connection, "experiments")
        self.revisions = RegistryTable(connection, "revisions")
        self.runs = RegistryTable(connection, "runs")
