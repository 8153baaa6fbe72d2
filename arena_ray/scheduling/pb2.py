"""Population-based bandits: hyperparameters that a model of the whole population's gains proposes.

Source: Parker-Holder et al., Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits, 2020.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import FlagValue
from arena_ray.model.unit_scale import Numeric, from_unit, is_numeric, to_unit
from arena_ray.scheduling.surrogate import Array, Situations, Surrogate

LEAST_STRETCHES = 4
"""Fewer teach nothing; until then hyperparameters are perturbed."""
MOST_STRETCHES = 200
"""Older ones are forgotten, so that a proposal takes a fraction of a second."""
_CANDIDATES, _ROUNDS = 512, 2


@dataclass(frozen=True)
class Outset:
    """With what a training begins: hyperparameters, at a milestone, on weights that are worth so much."""

    milestone: int
    score: float
    """More is better, whatever the metric."""
    hyperparameters: Mapping[str, FlagValue]


@dataclass(frozen=True)
class Stretch:
    """Training from one milestone to a later one, and what it has gained: change of the score for each milestone."""

    outset: Outset
    gain: float


def proposed_names(space: SearchSpace) -> list[str]:
    """Return what is proposed: numbers on which no other dimension depends. The rest is perturbed as ever."""
    parents = {name for dimension in space.dimensions.values() for name in dimension.when}
    return [name for name, dimension in space.dimensions.items() if is_numeric(dimension) and name not in parents]


def propose(
    space: SearchSpace,
    start: Outset,
    *,
    known: Sequence[Stretch],
    pending: Sequence[Outset],
    rng: random.Random,
) -> dict[str, FlagValue]:
    """Return the hyperparameters of *start*, with those that can be proposed replaced by what promises most.

    That is the highest upper confidence bound of the gain. It depends on nothing but the arguments.

    Args:
        space: What may be proposed.
        start: Where the weights stand that are to be trained on, and perturbed hyperparameters.
        known: What the population has gained so far.
        pending: What others are trying at the moment.
        rng: The source of all chance.
    """
    names = [name for name in proposed_names(space) if name in start.hyperparameters]
    scale = _Scale({name: d for name in names if is_numeric(d := space.dimensions[name])})
    usable = [one for one in known if scale.has(one.outset) and math.isfinite(one.gain)]
    usable = sorted(usable, key=lambda one: one.outset.milestone)[-MOST_STRETCHES:]
    if not names or len(usable) < LEAST_STRETCHES:
        return dict(start.hyperparameters)
    generator = np.random.default_rng(rng.getrandbits(64))
    outsets = [one.outset for one in usable]
    scores = np.array([one.score for one in outsets])
    mean, spread = float(scores.mean()), float(scores.std()) or 1.0
    surrogate = Surrogate(
        scale.situations(outsets, mean=mean, spread=spread),
        np.array([one.gain for one in usable]),
        pending=scale.situations([one for one in pending if scale.has(one)], mean=mean, spread=spread),
        rng=generator,
    )
    place = _most_promising(surrogate, scale.situations([start], mean=mean, spread=spread), len(usable), generator)
    return {**start.hyperparameters, **scale.values(place)}


@dataclass(frozen=True)
class _Scale:
    dimensions: Mapping[str, Numeric]

    def has(self, outset: Outset) -> bool:
        """Whether the model can be told of *outset*."""
        values = outset.hyperparameters
        is_whole = all(
            name in values and dimension.contains(values[name]) for name, dimension in self.dimensions.items()
        )
        return is_whole and math.isfinite(outset.score)

    def situations(self, outsets: Sequence[Outset], *, mean: float, spread: float) -> Situations:
        places = [
            [to_unit(dimension, outset.hyperparameters[name]) for name, dimension in self.dimensions.items()]
            for outset in outsets
        ]
        return Situations(
            np.array([float(outset.milestone) for outset in outsets]),
            (np.array([outset.score for outset in outsets], dtype=np.float64) - mean) / spread,
            np.array(places, dtype=np.float64).reshape(len(outsets), len(self.dimensions)),
        )

    def values(self, place: Array) -> dict[str, FlagValue]:
        pairs = zip(self.dimensions.items(), place, strict=True)
        return {name: from_unit(dimension, float(at)) for (name, dimension), at in pairs}


def _most_promising(surrogate: Surrogate, start: Situations, count: int, rng: np.random.Generator) -> Array:
    """Return the place with the highest upper confidence bound among those drawn, then among those around it."""
    width = start.places.shape[1]
    # As in Ray Tune's PB2: the more is known, the wider the search.
    boldness = math.sqrt(0.2 + max(0.0, math.log(0.4 * count)))

    def best_of(places: Array) -> Array:
        size = len(places)
        mean, deviation = surrogate.predict(
            Situations(np.repeat(start.times, size), np.repeat(start.scores, size), places)
        )
        best: Array = places[int(np.argmax(mean + boldness * deviation))]
        return best

    best = best_of(np.concatenate([start.places, rng.uniform(size=(_CANDIDATES, width))]))
    for step in range(_ROUNDS):
        around = best + rng.normal(scale=0.1 / 4**step, size=(_CANDIDATES // 4, width))
        best = best_of(np.concatenate([best[None, :], np.clip(around, 0.0, 1.0)]))
    return best
