"""Plugins as command line and gateway show them."""

from __future__ import annotations

from typing import Any

from arena_ray.model.spec import Strict
from arena_ray.model.states import Scope
from arena_ray.plugin.discovery import BrokenPlugin
from arena_ray.plugin.json_schema import json_schema
from arena_ray.plugin.registration import Plugin
from arena_ray.plugin.setting import Setting


class PluginDescription(Strict):
    """A plugin without its function; ``problem`` says why it cannot be used."""

    name: str
    scope: Scope | None = None
    description: str = ""
    icon: str = ""
    version: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    enabled_by_default: bool = False
    origin: str
    """The file, or where the broken one comes from."""
    place: str = ""
    """File and function: two plugins that share it are one."""
    settings: tuple[Setting, ...] = ()
    has_check: bool = False
    """Whether it checks its settings itself besides."""
    problem: str | None = None

    @property
    def form(self) -> dict[str, Any]:
        """JSON Schema of its settings, from which forms are made."""
        return json_schema(self.settings, title=self.name)


def describe_plugin(plugin: Plugin) -> PluginDescription:
    """Return *plugin* as a value that crosses borders."""
    return PluginDescription(
        name=plugin.name,
        scope=plugin.scope,
        description=plugin.description,
        icon=plugin.icon,
        version=plugin.version,
        author=plugin.author,
        tags=plugin.tags,
        enabled_by_default=plugin.enabled_by_default,
        origin=plugin.origin,
        place=plugin.place,
        settings=tuple(plugin.schema.settings.values()),
        has_check=plugin.schema.check is not None,
    )


def describe(found: Plugin | BrokenPlugin) -> PluginDescription:
    """Return what was found as a value, usable or not."""
    if isinstance(found, BrokenPlugin):
        return PluginDescription(name=found.name, origin=found.source, problem=found.reason)
    return describe_plugin(found)
