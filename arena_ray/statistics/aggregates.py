"""One number for many scores. A score that is missing is never left out in silence: NaN is refused.

Scores are ``float64[..., runs, tasks]``: one row a seed, one column an environment, best normalised where there is more
than one; axes before these two are samples, each of which gets a number of its own. More is better.

Source: Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, 2021, and its library
rliable, whose numbers these are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
_CUT = 0.25


def require_scores(values: ArrayLike) -> FloatArray:
    """Return *values* as scores; one row or list of numbers is taken as the runs of one task.

    Raises:
        ValueError: There are none, or one is NaN.
    """
    scores = np.asarray(values, dtype=np.float64)
    scores = scores[:, None] if scores.ndim == 1 else scores
    if scores.ndim < 2 or scores.size == 0:
        raise ValueError(f"scores are an array of runs x tasks with at least one of each, not of shape {scores.shape}")
    if np.isnan(scores).any():
        raise ValueError("a score is NaN; decide first how a missing one counts, such as with missing_as_worst(scores)")
    return scores


def missing_as_worst(values: ArrayLike) -> FloatArray:
    """Return *values* with -inf for each NaN: a run without a score is worse than any that has one."""
    scores = np.asarray(values, dtype=np.float64)
    return np.where(np.isnan(scores), -np.inf, scores)


def interquartile_mean(scores: ArrayLike) -> Any:
    """Return the mean of the middle half of all runs of all tasks; of less than four scores the mean of all.

    It is -inf where more than a quarter of the scores are.
    """
    checked = require_scores(scores)
    flat = np.sort(checked.reshape(*checked.shape[:-2], -1), axis=-1)
    cut = int(_CUT * flat.shape[-1])
    return flat[..., cut : flat.shape[-1] - cut].mean(axis=-1)


def mean(scores: ArrayLike) -> Any:
    """Return the mean over the tasks of their means over the runs."""
    return require_scores(scores).mean(axis=-2).mean(axis=-1)


def median(scores: ArrayLike) -> Any:
    """Return the median over the tasks of their means over the runs."""
    return np.median(require_scores(scores).mean(axis=-2), axis=-1)


def optimality_gap(scores: ArrayLike, *, target: float = 1.0) -> Any:
    """Return by how much the runs fall short of *target* on average; what is above it counts as *target*."""
    return target - np.minimum(require_scores(scores), target).mean(axis=(-2, -1))


def probability_of_improvement(scores: ArrayLike, others: ArrayLike) -> float:
    """Return how likely a run of *scores* is better than one of *others* on the same task; a tie counts half.

    Args:
        scores: ``float64[runs, tasks]``.
        others: ``float64[other runs, tasks]``.

    Raises:
        ValueError: They are not of the same tasks.
    """
    ours, theirs = require_scores(scores), require_scores(others)
    if ours.ndim != 2 or theirs.ndim != 2 or ours.shape[1] != theirs.shape[1]:
        raise ValueError(f"both are arrays of runs x tasks with equal tasks, not of {ours.shape} and {theirs.shape}")
    better = (ours[:, None, :] > theirs[None, :, :]).mean(axis=(0, 1))
    equal = (ours[:, None, :] == theirs[None, :, :]).mean(axis=(0, 1))
    return float((better + equal / 2).mean())
