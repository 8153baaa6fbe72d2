"""A Gaussian process whose memory fades: what gain to expect of hyperparameters now, and how sure that is.

Source: Bogunovic et al., Time-Varying Gaussian Process Bandit Optimization, 2016, for the kernel; Rasmussen & Williams,
Gaussian Processes for Machine Learning, 2006, algorithm 2.1, for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_LOWEST, _HIGHEST = np.log([0.05, 0.3, 1e-3, 1e-3]), np.log([3.0, 10.0, 0.5, 1.0])
_LIKELY = np.log([0.4, 2.0, 0.05, 0.1])
"""Of length, score length, forgetting and noise. Few points say little of them: they are drawn to what is likely."""
_DRAWS, _REFINEMENTS = 48, 2


@dataclass(frozen=True)
class Situations:
    """Where hyperparameters were tried: one row each."""

    times: Array
    """``float64[N]``, in milestones."""
    scores: Array
    """``float64[N]``, standardised: what the weights were worth before."""
    places: Array
    """``float64[N, D]``, the hyperparameters, each between 0 and 1."""

    def __add__(self, other: Situations) -> Situations:
        return Situations(
            np.concatenate([self.times, other.times]),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.places, other.places]),
        )


@dataclass(frozen=True)
class Kernel:
    """How alike the gains of two situations are: the less, the further apart they lie, in time too."""

    length: float
    score_length: float
    forgetting: float
    noise: float

    def __call__(self, one: Situations, other: Situations) -> Array:
        """Return the covariances, ``float64[N, M]``, without the noise."""
        apart = _squared(one.places / self.length, other.places / self.length)
        apart = apart + (one.scores[:, None] - other.scores[None, :]) ** 2 / self.score_length**2
        age = np.abs(one.times[:, None] - other.times[None, :])
        covariance: Array = np.exp(-0.5 * apart) * (1.0 - self.forgetting) ** (0.5 * age)
        return covariance

    def factor(self, situations: Situations) -> Array:
        """Return the Cholesky factor of the covariances with the noise."""
        covariance = self(situations, situations)
        covariance[np.diag_indices_from(covariance)] += self.noise + 1e-9
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)


def _squared(one: Array, other: Array) -> Array:
    difference = one[:, None, :] - other[None, :, :]
    squared: Array = (difference**2).sum(axis=-1)
    return squared


class Surrogate:
    """Knows *gains*, ``float64[N]``, that were seen in *situations*, and that *pending* ones are being tried.

    Its kernel is the likeliest of those that *rng* draws.
    """

    def __init__(self, situations: Situations, gains: Array, *, pending: Situations, rng: np.random.Generator) -> None:
        spread = float(gains.std())
        self._gains = (gains - gains.mean()) / (spread if spread > 0 else 1.0)
        self._situations = situations
        self.kernel = self._likeliest(rng)
        self._lower = self.kernel.factor(situations)
        self._weights = _solved(self._lower, self._gains)
        # The variance does not depend on what will come of them: what is being tried is not tried twice.
        self._all = situations + pending
        self._lower_of_all = self.kernel.factor(self._all)

    def predict(self, situations: Situations) -> tuple[Array, Array]:
        """Return mean and standard deviation of the gains to expect, both ``float64[M]``, in standard deviations."""
        mean: Array = self.kernel(situations, self._situations) @ self._weights
        half = np.linalg.solve(self._lower_of_all, self.kernel(self._all, situations))
        variance: Array = np.maximum(1.0 - (half**2).sum(axis=0), 0.0)
        return mean, np.sqrt(variance)

    def _likeliest(self, rng: np.random.Generator) -> Kernel:
        size = len(_LIKELY)
        drawn = rng.uniform(_LOWEST, _HIGHEST, size=(_DRAWS, size))
        best = max([_LIKELY, *drawn], key=self._likelihood)
        for refinement in range(_REFINEMENTS):
            moves = rng.normal(scale=0.4 / (1 + refinement), size=(_DRAWS // 2, size))
            best = max([best, *np.clip(best + moves, _LOWEST, _HIGHEST)], key=self._likelihood)
        return _kernel(best)

    def _likelihood(self, logarithms: Any) -> float:
        """Return the logarithm of the marginal likelihood, with that of the prior."""
        lower = _kernel(logarithms).factor(self._situations)
        fit = float(self._gains @ _solved(lower, self._gains))
        prior = float(((logarithms - _LIKELY) ** 2).sum())
        return -0.5 * (fit + prior) - float(np.log(np.diag(lower)).sum())


def _kernel(logarithms: Array) -> Kernel:
    length, score_length, forgetting, noise = map(float, np.exp(logarithms))
    return Kernel(length, score_length, forgetting, noise)


def _solved(lower: Array, values: Array) -> Array:
    solved: Array = np.linalg.solve(lower.T, np.linalg.solve(lower, values))
    return solved
