"""Spaces of observations and actions, as ``policy.json`` tells them."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from arena_ray.model.spec import Strict

MOST_NUMBERS = (
    10_000_000  # of one observation, and weights of one layer's side: no description makes us run out of memory
)

Side = Annotated[int, Field(ge=1, le=MOST_NUMBERS)]


def _infinity(value: Any) -> Any:
    if isinstance(value, list):
        return [_infinity(item) for item in value]
    return {"inf": math.inf, "-inf": -math.inf}.get(value, value) if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return ("inf" if value > 0 else "-inf") if isinstance(value, float) and math.isinf(value) else value


Numbers = Annotated[float | list[Any], BeforeValidator(_infinity), PlainSerializer(_as_text, when_used="json")]
"""One number for all, or nested lists of an array's shape; infinities are the strings ``inf`` and ``-inf``."""


Number = Annotated[float, BeforeValidator(_infinity), PlainSerializer(_as_text, when_used="json")]
"""One number; infinities are the strings ``inf`` and ``-inf``."""


class Lenient(Strict):
    """A value that may hold infinities."""

    model_config = Strict.model_config | {"allow_inf_nan": True}


class Box(Lenient):
    """Arrays of one shape and dtype, within bounds."""

    space: Literal["box"]
    shape: list[Side]
    dtype: str = Field(pattern=r"^(float(16|32|64)|u?int(8|16|32|64))$")
    low: Numbers
    high: Numbers


class Discrete(Strict):
    """*n* whole numbers from *start* on."""

    space: Literal["discrete"]
    n: Side
    start: int = 0


class Other(Strict):
    """A space that no policy can be described for."""

    space: str
