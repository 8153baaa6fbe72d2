"""One population of ppo on CartPole-v1, as both sides train it, and what is written down of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from arena_ray.model.search_space import SearchSpace
from arena_ray.plugin.study import Study
from arena_ray.scheduling.search import open_search

SCRIPT, ENV_ID = "ppo", "CartPole-v1"
FLAGS = {"gamma": 0.98, "gae_lambda": 0.9, "clip_vloss": False, "anneal_lr": False}
SPACE: dict[str, dict[str, list[float]]] = {
    "learning_rate": {"loguniform": [1e-5, 1e-1]},
    "ent_coef": {"uniform": [0.0, 0.05]},
}
RULES: dict[str, Any] = {
    "quantile_fraction": 0.25,
    "resample_probability": 0.25,
    "perturbation_factors": [1.2, 0.8],
}


@dataclass(frozen=True)
class Race:
    """``interval`` is a multiple of the 512 steps of a pass of ppo's main loop, and ``steps`` one of ``interval``."""

    seed: int
    population: int
    steps: int
    interval: int
    cpu: float

    def first_values(self) -> list[dict[str, Any]]:
        """Return the hyperparameters that each member begins with."""
        search = open_search(Study(param_space=SearchSpace.parse(SPACE), num_samples=self.population), seed=self.seed)
        return [search.sample(member, ()) for member in range(self.population)]


@dataclass(frozen=True)
class Outcome:
    """How a race went. ``best_return`` is the best member's mean over the episodes that ended in the last interval.

    Not over its last 20, by which both sides judge: of a member that has just taken over weights those are fewer, and
    the best of many means of a few episodes says little.
    """

    wall_s: float
    best_return: float
    steps_trained: int
    processes: int
    """Training processes that were started."""
    exploits_s: list[float] = field(default_factory=list)
    """Of each exploit, the seconds from the decision to the training process going on."""


def mean_return(returns: Collection[float]) -> float:
    return math.fsum(returns) / len(returns) if returns else math.nan


def best_of(means: Iterable[float]) -> float:
    return max((mean for mean in means if math.isfinite(mean)), default=math.nan)
