"""The context of a plugin's function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from arena_ray.host.connection import Connection


@dataclass(frozen=True)
class Context:
    """See :class:`arena_ray.plugin.context.PluginContext`."""

    plugin_name: str
    scope: str
    target_id: str
    execution_id: str
    experiment_id: str
    experiment: str
    settings: Mapping[str, Any]
    connection: Connection
    generation: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def should_stop(self) -> bool:
        """Whether the user wants this to end."""
        return self.connection.stopping.is_set()

    def should_continue(self) -> bool:
        """Return the opposite of :attr:`should_stop`."""
        return not self.should_stop
