"""What happens to observations before the network gets them, and to actions after it: arithmetic on arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from arena_ray.model.spec import Strict
from arena_ray.serving.spaces import Lenient, Numbers

Function = Callable[[Any], Any]


class Flatten(Strict):
    """One row of numbers of each."""

    step: Literal["flatten"]


class Normalize(Strict):
    """``(x - mean) / sqrt(var + epsilon)``, in the type of the statistics and of the observations."""

    step: Literal["normalize"]
    mean: Numbers
    var: Numbers
    dtype: Literal["float32", "float64"]
    epsilon: float = Field(gt=0)


class Clip(Lenient):
    """Numbers below *low* become *low*, those above *high* become *high*."""

    step: Literal["clip"]
    low: Numbers
    high: Numbers


class Arithmetic(Strict):
    """``x * by``, ``x + by`` or ``x / by``."""

    step: Literal["scale", "shift", "divide"]
    by: float


AnyStep = Annotated[Flatten | Normalize | Clip | Arithmetic, Field(discriminator="step")]


def build(steps: Sequence[AnyStep]) -> Function:
    """Return the function that does all *steps* to an array ``[n, *shape]``.

    Raises:
        ValueError: Numbers are lists of unequal length.
    """
    functions = [_build(step) for step in steps]

    def apply(values: Any) -> Any:
        for function in functions:
            values = function(values)
        return values

    return apply


def _build(step: AnyStep) -> Function:
    if isinstance(step, Flatten):
        return lambda values: values.reshape(len(values), -1)
    if isinstance(step, Arithmetic):
        by = step.by
        operation: Any = {"scale": np.multiply, "shift": np.add, "divide": np.true_divide}[step.step]
        return lambda values: operation(values, by)
    if isinstance(step, Clip):
        low, high = (np.asarray(bound, dtype=np.float64) for bound in (step.low, step.high))
        return lambda values: np.clip(values, low.astype(values.dtype), high.astype(values.dtype))
    mean, var = (np.asarray(numbers, dtype=step.dtype) for numbers in (step.mean, step.var))
    deviation = np.sqrt(var + step.epsilon)
    return lambda values: (values - mean) / deviation
