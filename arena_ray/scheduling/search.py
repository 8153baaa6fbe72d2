"""Where the hyperparameters of a study's runs come from."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from arena_ray.model.errors import SpecError
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import FlagValue
from arena_ray.plugin.study import GridSearch, Study, Tpe

MOST_SAMPLES = 10_000
"""Runs of one study."""


@dataclass(frozen=True)
class Trained:
    """A run that has ended: its hyperparameters and what it reached, NaN where nothing was measured."""

    hyperparameters: dict[str, FlagValue]
    score: float


class Search(Protocol):
    """Gives the samples of a study. The same question always has the same answer, so nothing of it need be kept."""

    size: int
    """Samples in all."""
    learns: bool
    """Whether later samples depend on how earlier ones ended."""

    def sample(self, member: int, trained: Sequence[Trained]) -> dict[str, FlagValue]:
        """Return the sample of this number, from 0, given what has ended so far."""
        ...


def open_search(study: Study, *, seed: int) -> Search:
    """Return the search that *study* asks for.

    Raises:
        SpecError: The space has no grid, or one that is too large.
    """
    if isinstance(study.search_alg, GridSearch):
        samples = list(islice(study.param_space.grid(), study.num_samples or MOST_SAMPLES + 1))
        if len(samples) > MOST_SAMPLES:
            raise SpecError(f"the grid has more than {MOST_SAMPLES:,} combinations; give each dimension fewer values")
        return _Listed(samples)
    size = study.num_samples or 1
    if isinstance(study.search_alg, Tpe):
        return _Optuna(study, size=size, seed=seed)
    return _Random(study, size=size, seed=seed)


class _Listed:
    learns = False

    def __init__(self, samples: Sequence[dict[str, FlagValue]]) -> None:
        self._samples = samples
        self.size = len(samples)

    def sample(self, member: int, trained: Sequence[Trained]) -> dict[str, FlagValue]:
        return self._samples[member]


class _Random:
    learns = False

    def __init__(self, study: Study, *, size: int, seed: int) -> None:
        self._space = study.param_space
        self._seed = seed
        self.size = size

    def sample(self, member: int, trained: Sequence[Trained]) -> dict[str, FlagValue]:
        return self._space.sample(random.Random(f"{self._seed}/{member}"))


class _Optuna:
    """Optuna's sampler, told anew for each sample what is known: it keeps nothing that a crash could take."""

    learns = True

    def __init__(self, study: Study, *, size: int, seed: int) -> None:
        assert isinstance(study.search_alg, Tpe)
        self._space = study.param_space
        self._startup = study.search_alg.n_startup
        self._is_max = study.mode == "max"
        self._seed = seed
        self.size = size

    def sample(self, member: int, trained: Sequence[Trained]) -> dict[str, FlagValue]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(n_startup_trials=self._startup, seed=self._seed_of(member))
        study = optuna.create_study(direction="maximize" if self._is_max else "minimize", sampler=sampler)
        for each in trained:
            study.add_trial(ended_trial(optuna, self._space, each))
        return self._space.suggest(study.ask())

    def _seed_of(self, member: int) -> int:
        return random.Random(f"{self._seed}/{member}").getrandbits(32)


def ended_trial(optuna: Any, space: SearchSpace, each: Trained) -> Any:
    """Return what has ended as a trial of *optuna*, the module: suggested again by one that knows the answers."""
    fixed = optuna.trial.FixedTrial(each.hyperparameters)
    space.suggest(fixed)
    is_measured = math.isfinite(each.score)
    return optuna.trial.create_trial(
        params=fixed.params,
        distributions=fixed.distributions,
        value=each.score if is_measured else None,
        state=optuna.trial.TrialState.COMPLETE if is_measured else optuna.trial.TrialState.FAIL,
    )
