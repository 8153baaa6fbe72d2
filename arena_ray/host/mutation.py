"""Random changes to a configuration, the same ones whenever a plugin's function begins anew."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from arena_ray.model.errors import PluginMistake


def mutate(base: Mapping[str, Any], rate: float, *, seed: str) -> dict[str, Any]:
    """Return *base* with each number multiplied by something between ``1 - rate`` and ``1 + rate``.

    Args:
        base: Plain values; mappings and lists within it are gone through.
        rate: In [0, 1].
        seed: Equal ones draw equal numbers.

    Raises:
        PluginMistake: *rate* is out of range.
    """
    if not 0 <= rate <= 1:
        raise PluginMistake(f"rate is between 0 and 1, not {rate!r}")
    source = random.Random(seed)
    return {key: _changed(value, rate, source) for key, value in base.items()}


def _changed(value: Any, rate: float, source: random.Random) -> Any:
    if isinstance(value, Mapping):
        return {key: _changed(each, rate, source) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(each, rate, source) for each in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    changed = value * source.uniform(1 - rate, 1 + rate)
    return round(changed) if isinstance(value, int) else changed
