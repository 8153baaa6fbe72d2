"""``--set KEY=VALUE``: changes to an experiment file that are made on the command line, with errors that say so."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from arena_ray.model.errors import SpecError, nearest
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.yaml_lines import LocatedDocument, parse_located

_OPEN_SECTIONS = ("hyperparameters", "flags")


@dataclass(frozen=True)
class OverriddenDocument(LocatedDocument):
    """A document some of whose values come from the command line."""

    overrides: dict[tuple[Hashable, ...], str] = field(default_factory=dict)

    def place(self, loc: Sequence[Hashable]) -> str:
        """Return ``--set KEY`` for a value of the command line, ``file:line`` for the rest."""
        for end in range(len(loc), 0, -1):
            if tuple(loc[:end]) in self.overrides:
                return self.overrides[tuple(loc[:end])]
        return super().place(loc)


def override(document: LocatedDocument, assignments: Sequence[str], *, seed: int | None = None) -> LocatedDocument:
    """Return *document* with *assignments*, each ``KEY=VALUE``, applied in their order.

    A key is a path such as ``flags.total_timesteps``; the name of a hyperparameter or flag that the file gives may
    stand alone. A value is read as in the file: ``1e-4`` is a number, ``[64, 64]`` a list, ``null`` nothing.

    Raises:
        SpecError: An assignment has no ``=``, or its key leads nowhere.
    """
    data, lines = copy.deepcopy(document.data), dict(document.lines)
    origins: dict[tuple[Hashable, ...], str] = {}
    for assignment in assignments:
        key, value = _split(assignment)
        path = _resolve(key, data)
        _assign(data, path, value, key=key)
        for end in range(1, len(path) + 1):  # the sections that it makes are of the command line too
            if path[:end] not in lines or end == len(path):
                lines.setdefault(path[:end], 1)
                origins[path[:end]] = f"--set {key}"
    if seed is not None:
        data["seed"] = seed
        lines.setdefault(("seed",), 1)
        origins["seed",] = "--seed"
    return OverriddenDocument(data=data, source=document.source, lines=lines, overrides=origins)


def steered_by(
    plugin: str, document: LocatedDocument, assignments: Sequence[str]
) -> tuple[LocatedDocument, tuple[str, ...]]:
    """Return *document* with this *plugin*, and the *assignments* to its settings as such to the document.

    Settings that the document gives to the same plugin stay.
    """
    data, lines = copy.deepcopy(document.data), dict(document.lines)
    former = data.get("plugin")
    is_same = isinstance(former, dict) and former.get("name") == plugin
    data["plugin"] = {"name": plugin, "settings": (former or {}).get("settings") or {} if is_same else {}}
    lines.setdefault(("plugin",), 1)
    return LocatedDocument(data=data, source=document.source, lines=lines), tuple(
        f"plugin.settings.{assignment}" for assignment in assignments
    )


def named_too(plugin: str, document: LocatedDocument, assignments: Sequence[str], *, key: str) -> LocatedDocument:
    """Return *document* with this *plugin* in the list under *key*, with the settings that *assignments* give."""
    data, lines = copy.deepcopy(document.data), dict(document.lines)
    former = data.get(key)
    others = [each for each in former if each.get("name") != plugin] if isinstance(former, list) else []
    data[key] = [*others, {"name": plugin, "settings": settings_of(assignments)}]
    lines.setdefault((key,), 1)
    return LocatedDocument(data=data, source=document.source, lines=lines)


def settings_of(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the settings that *assignments*, each ``KEY=VALUE``, give to a plugin."""
    data: dict[str, Any] = {}
    for assignment in assignments:
        key, value = _split(assignment)
        _assign(data, tuple(key.split(".")), value, key=key)
    return data


def _split(assignment: str) -> tuple[str, Any]:
    key, equals, text = assignment.partition("=")
    if not (equals and key.strip()):
        raise SpecError(f"--set {assignment}: KEY=VALUE is expected, such as --set flags.total_timesteps=1000")
    return key.strip(), parse_located(f"value: {text}", source=f"--set {key}").data["value"]


def _resolve(key: str, data: dict[str, Any]) -> tuple[str, ...]:
    path = tuple(key.split("."))
    if path[0] in ExperimentSpec.model_fields:
        return path
    for section in _OPEN_SECTIONS:
        values = data.get(section)
        if isinstance(values, dict) and key in values:
            return (section, key)
    raise SpecError(
        f"--set {key}: no such key; write flags.{key}=… or hyperparameters.{key}=… for a flag of the script "
        f"({nearest(path[0], ExperimentSpec.model_fields)})"
    )


def _assign(data: dict[str, Any], path: tuple[str, ...], value: Any, *, key: str) -> None:
    section = data
    for part in path[:-1]:
        if section.get(part) is None:
            section[part] = {}
        section = section[part]
        if not isinstance(section, dict):
            raise SpecError(f"--set {key}: {part!r} is not a section, so there is nothing to set in it")
    section[path[-1]] = value
