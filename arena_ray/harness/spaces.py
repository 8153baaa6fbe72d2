"""Spaces of gymnasium as JSON can hold them."""

from __future__ import annotations

import math
import sys
from typing import Any, Dict

from .policy_source import Unrecognised

MOST_NUMBERS = 4096
"""Of bounds that differ, or of statistics: a description is read by people too."""


def describe_space(space: Any) -> Dict[str, Any]:
    """Return a space of gymnasium as JSON can hold it; one that is neither box nor discrete has only its kind."""
    kind = type(space).__name__
    if kind == "Box":
        shape = [int(side) for side in space.shape]
        low, high = _bounds(space.low), _bounds(space.high)
        dtype = sys.modules["numpy"].dtype(space.dtype).name  # a script may have put a class there
        return {"space": "box", "shape": shape, "dtype": dtype, "low": low, "high": high}
    if kind == "Discrete":
        return {"space": "discrete", "n": int(space.n), "start": int(getattr(space, "start", 0))}
    return {"space": kind.lower()}


def count_of_actions(space: Dict[str, Any]) -> int:
    """Return how many actions a description's *space* has, or how many numbers an action of it is.

    Raises:
        Unrecognised: No policy can be described for such actions.
    """
    if space["space"] == "discrete":
        if space["start"]:
            raise Unrecognised(f"the environment's actions begin with {space['start']}, the network's with 0")
        return int(space["n"])
    if space["space"] != "box":
        raise Unrecognised(f"the environment takes a {space['space']}, for which no policy can be described")
    if len(space["shape"]) != 1:
        raise Unrecognised(f"only actions that are one row of numbers can be described, not {space['shape']}")
    return int(space["shape"][0])


def _bounds(array: Any) -> Any:
    """Return the bounds as one number where all are equal, else as nested lists."""
    if array.size and (array == array.flat[0]).all():
        return number(array.flat[0].item())
    if array.size > MOST_NUMBERS:
        raise Unrecognised(f"the {array.size} bounds of a space differ")
    return nested(array.tolist())


def nested(value: Any) -> Any:
    """Return numbers, or lists of them, as JSON can hold them."""
    return [nested(item) for item in value] if isinstance(value, list) else number(value)


def number(value: Any) -> Any:
    """Return *value*, an infinity as the string that JSON lacks a number for."""
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value
