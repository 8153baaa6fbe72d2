"""``api.db``: the registry, to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arena_ray.host.connection import Connection


class RegistryTable:
    """See :class:`arena_ray.plugin.handles.Table`."""

    def __init__(self, connection: Connection, kind: str) -> None:
        self._connection = connection
        self._kind = kind

    def find(self, query: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows whose values equal those of *query*, oldest first; all without one."""
        rows: list[dict[str, Any]] = self._connection.call("find", kind=self._kind, query=dict(query or {}))
        return rows

    def find_one(self, query: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the newest of those rows, or None."""
        row: dict[str, Any] | None = self._connection.call("find_one", kind=self._kind, query=dict(query or {}))
        return row


class RegistryDatabase:
    """See :class:`arena_ray.plugin.handles.Database`."""

    def __init__(self, connection: Connection) -> None:
        self.experiments = RegistryTable(connection, "experiments")
        self.revisions = RegistryTable(connection, "revisions")
        self.runs = RegistryTable(connection, "runs")
