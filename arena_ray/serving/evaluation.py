"""Plays episodes with a deployed policy. The environments live here, the policy behind its endpoint."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from arena_ray.model.errors import ArenaError, UnknownEnvironment
from arena_ray.serving.client import Answer

MOST_AT_ONCE = 64
"""Environments that are played side by side, their observations asked for as one batch."""


@dataclass(frozen=True)
class Evaluation:
    """What came of the episodes, in the order of their seeds. Where none was played, all figures are NaN."""

    env_id: str
    seed: int
    returns: tuple[float, ...]
    versions: tuple[int, ...]
    """The versions that have answered; more than one where another was deployed meanwhile."""

    @property
    def mean(self) -> float:
        """Mean return."""
        return statistics.fmean(self.returns) if self.returns else math.nan

    @property
    def std(self) -> float:
        """Standard deviation of the returns, of the population."""
        return statistics.pstdev(self.returns) if self.returns else math.nan

    @property
    def min(self) -> float:
        """Smallest return."""
        return min(self.returns, default=math.nan)

    @property
    def max(self) -> float:
        """Largest return."""
        return max(self.returns, default=math.nan)


def make_environment(env_id: str) -> Any:
    """Return an environment of this id.

    Raises:
        UnknownEnvironment: gymnasium does not know it here, or it cannot be made.
    """
    try:
        return gymnasium.make(env_id)
    except (gymnasium.error.Error, ImportError) as exc:
        raise UnknownEnvironment(env_id, reason=str(exc)) from exc


def first_observation(env_id: str, *, seed: int) -> Any:
    """Return the observation with which an episode begins, as JSON can hold it."""
    environment = make_environment(env_id)
    try:
        return environment.reset(seed=seed)[0].tolist()
    finally:
        environment.close()


def evaluate(act: Callable[[Any], Answer], env_id: str, *, episodes: int, seed: int) -> Evaluation:
    """Play *episodes* to their ends, each with a seed of its own from *seed* on, and return what came of them.

    Args:
        act: Asks the policy for the actions of a batch of observations.
        env_id: The environment.
        episodes: How many; so many are played side by side, up to :data:`MOST_AT_ONCE`.
        seed: The first episode's; the next ones count on from it.

    Raises:
        UnknownEnvironment: The environment cannot be made here.
        ArenaError: The policy refuses the observations, or does not answer.
    """
    returns: list[float] = []
    versions: set[int] = set()
    for start in range(0, episodes, MOST_AT_ONCE):
        seeds = range(seed + start, seed + min(start + MOST_AT_ONCE, episodes))
        returns += _play(act, [make_environment(env_id) for _ in seeds], list(seeds), versions)
    return Evaluation(env_id, seed, tuple(returns), tuple(sorted(versions)))


def _play(act: Callable[[Any], Answer], environments: list[Any], seeds: list[int], versions: set[int]) -> list[float]:
    returns = [0.0] * len(environments)
    pairs = zip(environments, seeds, strict=True)
    observations = {index: env.reset(seed=seed)[0] for index, (env, seed) in enumerate(pairs)}
    while observations:
        answer = act([observation.tolist() for observation in observations.values()])
        versions.add(answer.version)
        if not isinstance(answer.action, list) or len(answer.action) != len(observations):
            raise ArenaError(f"{len(observations)} observations were answered with {answer.action!r}")
        for index, action in zip(list(observations), answer.action, strict=True):
            environment = environments[index]
            taken = np.asarray(action, environment.action_space.dtype) if isinstance(action, list) else action
            observation, reward, terminated, truncated, _ = environment.step(taken)
            returns[index] += float(reward)
            observations[index] = observation
            if terminated or truncated:
                del observations[index]
                environment.close()
    return returns
