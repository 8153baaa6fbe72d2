"""Running means and variances by which wrappers or the script normalise: learned with the weights, but kept elsewhere.

A network that takes over another one's weights acts sensibly only on observations that are scaled as the other one's
were. Gymnasium's wrappers, and scripts that do it themselves, keep the statistics in objects called RunningMeanStd.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Tuple

from .variables import Variables

Place = Tuple[str, str]
"""The variable, with the number of the environment where several lie side by side; and the way on from there."""

_PARTS = ("mean", "var", "count")
_DEEPEST = 50


def find(variables: Variables) -> Dict[Place, Any]:
    """Return the statistics that a variable holds, or an environment in one, by their places."""
    found: Dict[Place, Any] = {}
    for _, names in variables.scopes():
        for name, value in names.items():
            if _is_statistics(value):
                found[name, ""] = value
            else:
                found.update(_inside(name, "", value, 0))
    return found


def values(statistics: Any) -> Dict[str, Any]:
    """Return what *statistics* hold: arrays ``mean`` and ``var`` of one shape, and a number ``count``."""
    return {part: getattr(statistics, part) for part in _PARTS}


def pair(ours: Dict[Place, Any], theirs: Dict[Place, Any]) -> List[Tuple[Place, Any, Any]]:
    """Return the place of each of *ours* for which there are values among *theirs*, itself, and those values.

    Where this process has more environments side by side, the values of the first one stand for those that lack.
    """
    pairs = []
    for (key, way), statistics in ours.items():
        before, is_numbered, _ = key.rpartition(".envs.")
        first = before + is_numbered + "0" if is_numbered else key
        found = theirs.get((key, way), theirs.get((first, way)))
        if found is not None:
            pairs.append(((key, way), statistics, found))
    return pairs


def problems(pairs: List[Tuple[Place, Any, Any]]) -> Iterator[str]:
    """Yield what keeps values from fitting."""
    for (key, way), statistics, theirs in pairs:
        here, there = (getattr(mean, "shape", ()) for mean in (statistics.mean, theirs["mean"]))
        if here != there:
            yield f"{'.'.join(filter(None, (key, way)))} has the shape {list(there)} there and {list(here)} here"


def put_in(pairs: List[Tuple[Place, Any, Any]]) -> None:
    """Put copies of the values in: those of one environment may stand for several."""
    for _, statistics, theirs in pairs:
        for part in _PARTS:
            value = theirs[part]
            setattr(statistics, part, value.copy() if hasattr(value, "copy") else value)


def _inside(key: str, way: str, value: Any, depth: int) -> Iterator[Tuple[Place, Any]]:
    held = getattr(value, "__dict__", {})
    if depth > _DEEPEST or not {"env", "envs"} & held.keys():
        return
    for name, inner in held.items():
        if _is_statistics(inner):
            yield (key, way + name), inner
    if "env" in held:
        yield from _inside(key, way + "env.", held["env"], depth + 1)
    side_by_side = held.get("envs")
    if isinstance(side_by_side, (list, tuple)):
        for index, one in enumerate(side_by_side):
            yield from _inside(f"{key}.envs.{index}", "", one, depth + 1)


def _is_statistics(value: Any) -> bool:
    return type(value).__name__ == "RunningMeanStd" and all(hasattr(value, part) for part in _PARTS)
