"""How sure a number is: intervals by the stratified bootstrap, whose strata are tasks and whose items are seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from arena_ray.statistics.aggregates import FloatArray, interquartile_mean, require_scores

RESAMPLES = 2_000
_SEEDS = 2**32


class Interval(NamedTuple):
    """Between which two numbers something lies; -inf where so many scores are missing that nothing can be said."""

    low: float
    high: float


def bootstrap_interval(
    scores: ArrayLike,
    aggregate: Callable[[FloatArray], Any] = interquartile_mean,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of *aggregate*, as rliable draws it: for each task, runs with replacement.

    The same seed gives the same interval on every machine and with every version of NumPy: the generator is one whose
    numbers never change.

    Args:
        scores: ``float64[runs, tasks]``, one row a seed.
        aggregate: A function of :mod:`arena_ray.statistics.aggregates`.
        confidence: Share of the resamples that lie in it, in (0, 1).
        resamples: How many are drawn.
        seed: Any whole number.

    Raises:
        ValueError: A score is NaN, or there is none.

    Source: Efron, Bootstrap Methods: Another Look at the Jackknife, 1979; rliable, ``StratifiedBootstrap``.
    """
    checked = require_scores(scores)
    runs, tasks = checked.shape
    drawn = np.random.RandomState(seed % _SEEDS).randint(0, runs, size=(resamples, runs, tasks))
    values = np.sort(aggregate(checked[drawn, np.arange(tasks)]))
    tail = (1.0 - confidence) / 2.0
    return Interval(_quantile(values, tail), _quantile(values, 1.0 - tail))


def _quantile(values: FloatArray, share: float) -> float:
    """Return a quantile of sorted *values*, between two of them by their distance; NumPy's is NaN beside -inf."""
    place = share * (len(values) - 1)
    at = int(place)
    low, high = float(values[at]), float(values[min(at + 1, len(values) - 1)])
    return low if low == high or np.isinf(low) else low + (high - low) * (place - at)
