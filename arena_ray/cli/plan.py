"""What ``arena run`` says before it starts anything: the plugin with its settings in short, and the command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arena_ray.model.spec import PluginCall

_SPACE = "param_space"


def plan(plugin: PluginCall | None, command: str) -> list[str]:
    """Return the lines that say what will run; *command* is that of one run."""
    if plugin is None:
        return [f"will run: {command}"]
    settings = {name: value for name, value in plugin.settings.items() if name != _SPACE}
    space = plugin.settings.get(_SPACE)
    lines = [f"will run: plugin {plugin.name}" + (f" with {in_short(settings)}" if settings else "")]
    if isinstance(space, Mapping) and space:
        lines.append(f"tuning: {in_short(space)}")
    return [*lines, f"each run: {command}"]


def in_short(value: Any) -> str:
    """Return *value* as one line without braces: ``population 4, metric episodic_return``."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_inner(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(in_short(item) for item in value)}]"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _inner(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {in_short(item)}" for name, item in value.items())
    return in_short(value)
