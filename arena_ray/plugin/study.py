"""What a declarative plugin asks for: a study, and the values that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from arena_ray.model.search_space import SearchSpace

Mode = Literal["max", "min"]
EPISODIC_RETURN = "episodic_return"


@dataclass(frozen=True)
class Fifo:
    """Every run trains to its end."""


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving: at each rung only the best ``1 / reduction_factor`` go on.

    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, 2020, algorithm 2.
    """

    grace_period: int
    """Steps of the first rung; nothing is stopped before."""
    reduction_factor: int = 4
    max_steps: int | None = None
    """Steps above which there is no rung; None takes the script's total."""


@dataclass(frozen=True)
class Pbt:
    """Population-based training: at each interval the worst take over weights and hyperparameters of the best.

    Source: Jaderberg et al., Population Based Training of Neural Networks, 2017.
    """

    perturbation_interval: int
    """Steps between two milestones."""
    quantile_fraction: float = 0.25
    resample_probability: float = 0.25
    perturbation_factors: tuple[float, float] = (1.2, 0.8)
    min_gap: float = 0.1
    """A run whose score is nearer to the donor's than this share of the donor's is left alone: it is noise."""
    synchronous: bool = False
    """Whether all runs wait for each other at each milestone."""


@dataclass(frozen=True)
class RandomSearch:
    """Each sample is drawn for itself."""


@dataclass(frozen=True)
class GridSearch:
    """Each combination of values once."""


@dataclass(frozen=True)
class Tpe:
    """Optuna's tree-structured Parzen estimator; the first samples are random."""

    n_startup: int = 10


@dataclass(frozen=True)
class Study:
    """Runs over a search space under a scheduler."""

    param_space: SearchSpace
    num_samples: int | None
    """None takes every combination of a grid."""
    scheduler: Fifo | Asha | Pbt = Fifo()
    search_alg: RandomSearch | GridSearch | Tpe = RandomSearch()
    metric: str = EPISODIC_RETURN
    """``episodic_return``, or a tag that the script logs."""
    mode: Mode = "max"
    max_concurrent: int | None = None
    """Samples under way at once; None leaves it to the resources."""
    vary_seed: bool = False
    """Whether each run has a seed of its own, counted up from the experiment's."""


@dataclass(frozen=True)
class StudyResult:
    """How a study ended."""

    best_run_id: str | None
    best_score: float
    best_hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    num_runs: int = 0
