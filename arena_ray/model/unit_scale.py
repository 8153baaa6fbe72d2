"""Numbers of a search space between 0 and 1, as a model of them sees them; orders of magnitude are alike."""

from __future__ import annotations

import math
from typing import TypeGuard

from arena_ray.model.dimensions import AnyDimension, LogUniform, QUniform, RandInt, Uniform
from arena_ray.model.spec import FlagValue

Numeric = Uniform | LogUniform | QUniform | RandInt


def is_numeric(dimension: AnyDimension) -> TypeGuard[Numeric]:
    """Whether its values lie on a line: those of a choice do not, for such a model, even where they are numbers."""
    return isinstance(dimension, Numeric)


def to_unit(dimension: Numeric, value: FlagValue) -> float:
    """Return where *value* lies between the bounds of *dimension*: 0 at the lower one, 1 at the upper.

    Raises:
        TypeError: It is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    (low, high), here = _ends(dimension), float(value)
    if isinstance(dimension, LogUniform):
        low, high, here = math.log(low), math.log(high), math.log(max(here, low))
    return min(max((here - low) / (high - low), 0.0), 1.0) if high > low else 0.0


def from_unit(dimension: Numeric, place: float) -> FlagValue:
    """Return the value of *dimension* at *place*, between 0 and 1; on a grid the nearest one."""
    place = min(max(place, 0.0), 1.0)
    if not isinstance(dimension, Uniform):
        return dimension.at(round(place * (dimension.count - 1)))
    low, high = _ends(dimension)
    if place in (0.0, 1.0):
        return low if place == 0.0 else high  # to the last bit
    if isinstance(dimension, LogUniform):
        value = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
    else:
        value = low + place * (high - low)
    return min(max(value, low), high)


def _ends(dimension: Numeric) -> tuple[float, float]:
    if isinstance(dimension, Uniform):
        return dimension.low, dimension.high
    return float(dimension.at(0)), float(dimension.at(dimension.count - 1))
