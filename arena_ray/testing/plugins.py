"""Plugins loaded into the process that asks, which is quick: for tests, whose plugins are their own.

Everything else looks at plugins through :class:`arena_ray.plugin.catalog.Catalog`, which they cannot hurt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from arena_ray.model.errors import SpecError
from arena_ray.model.states import Scope
from arena_ray.plugin.description import PluginDescription, describe
from arena_ray.plugin.discovery import BrokenPlugin, require_usable, settle, sources
from arena_ray.plugin.drop_in import load_drop_in
from arena_ray.plugin.registration import Plugin, PluginFunction, plugin_of


@dataclass(frozen=True)
class LoadedPlugins:
    """All that was found; the broken ones hurt no other."""

    plugins: Mapping[str, Plugin]
    broken: tuple[BrokenPlugin, ...] = ()

    def describe(self) -> list[PluginDescription]:
        """Return everything that was found, by name, usable or not."""
        found = [describe(each) for each in self.plugins.values()] + [describe(each) for each in self.broken]
        return sorted(found, key=lambda each: (each.name, each.problem is not None))

    def require(self, name: str, *, scope: Scope = Scope.EXPERIMENT) -> Plugin:
        """Return the plugin that an experiment file names.

        Raises:
            SpecError: There is none, it cannot be used, or it has another scope.
        """
        require_usable(
            name,
            scope=scope,
            scopes={known: plugin.scope for known, plugin in self.plugins.items()},
            problems={broken.name: broken.reason for broken in self.broken},
        )
        return self.plugins[name]


def require_plugin(function: PluginFunction) -> Plugin:
    """Return the plugin that *function* is.

    Raises:
        SpecError: It is none.
    """
    plugin = plugin_of(function)
    if plugin is None:
        raise SpecError(f"{function!r} is no plugin; mark it with @register_plugin")
    return plugin


def load_plugin(path: Path) -> PluginFunction:
    """Return the one function of the file that is a plugin; in it ``from .core import register_plugin`` works.

    Raises:
        ValueError: There is none in it, or more than one.
    """
    module = load_drop_in(path.resolve())
    marked = [value for value in vars(module).values() if plugin_of(value)]
    if len(marked) != 1:
        raise ValueError(f"{path} has {len(marked)} functions that are plugins; put one into each file")
    function: PluginFunction = marked[0]
    return function


def load_plugins(directories: Sequence[Path] = ()) -> LoadedPlugins:
    """Load every installed plugin, and those of *directories*. A name that two functions claim is given to neither."""
    found = [each for source in sources(directories) for each in source.load()]
    usable, contested = settle(each for each in found if isinstance(each, Plugin))
    broken = [*(each for each in found if isinstance(each, BrokenPlugin)), *contested]
    return LoadedPlugins(usable, tuple(sorted(broken, key=lambda each: each.name)))
