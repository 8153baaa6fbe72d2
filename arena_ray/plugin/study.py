"""What a declarative plugin asks for: a study, and the values that it is made of. Wrong ones are refused when made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from arena_ray.model.configurations import CONFIDENCE, Configuration, mistake_of_seeds
from arena_ray.model.events import EPISODIC_RETURN
from arena_ray.model.schedule import Schedule
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import FlagValue, Strict

Mode = Literal["max", "min"]
Explore = Literal["perturb", "pb2"]
_Count = Annotated[int, Field(ge=1)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Factor = Annotated[float, Field(gt=0)]


class Fifo(Strict):
    """Every run trains to its end."""


class SeedRace(Fifo):
    """Every run trains to its end, and each sample has runs with several seeds: the more, the closer it is to the best.

    Each begins with ``min_seeds``. Then, round after round, those whose interval overlaps the leader's get one more,
    until the leader stands alone or all that are near it have ``max_seeds``. With equal numbers nothing is raced.
    """

    min_seeds: _Count = 3
    """Seeds of every sample, counted up from the experiment's; a race needs 3."""
    max_seeds: _Count = 10
    """Seeds that no sample has more of."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = CONFIDENCE
    """Share of the bootstrap that the intervals hold."""

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        if mistake := mistake_of_seeds(self.min_seeds, self.max_seeds):
            raise ValueError(mistake)
        return self


class Asha(Strict):
    """Asynchronous successive halving: at each rung only the best ``1 / reduction_factor`` go on.

    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, 2020, algorithm 2.
    """

    grace_period: _Count
    """Steps of the first rung; nothing is stopped before."""
    reduction_factor: Annotated[int, Field(ge=2)] = 4
    max_steps: _Count | None = None
    """Steps above which there is no rung; None takes the script's total."""


class Pbt(Strict):
    """Population-based training: at each interval the worst take over weights and hyperparameters of the best.

    Source: Jaderberg et al., Population Based Training of Neural Networks, 2017.
    """

    perturbation_interval: _Count
    """Steps between two milestones."""
    quantile_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    resample_probability: _Share = 0.25
    perturbation_factors: tuple[_Factor, _Factor] = (1.2, 0.8)
    min_gap: Annotated[float, Field(ge=0)] = 0.1
    """A run whose score is nearer to the donor's than this share of the donor's is left alone: it is noise."""
    synchronous: bool = False
    """Whether all runs wait for each other at each milestone."""
    explore: Explore = "perturb"
    """Whether the better run's hyperparameters are perturbed, or those with numbers proposed by PB2."""


class RandomSearch(Strict):
    """Each sample is drawn for itself."""


class GridSearch(Strict):
    """Each combination of values once."""


class Tpe(Strict):
    """Optuna's tree-structured Parzen estimator; the first samples are random."""

    n_startup: _Count = 10


class Study(Strict):
    """Runs over a search space under a scheduler."""

    param_space: SearchSpace
    num_samples: _Count | None
    """None takes every combination of a grid."""
    scheduler: SeedRace | Fifo | Asha | Pbt | Schedule = Fifo()
    search_alg: RandomSearch | GridSearch | Tpe = RandomSearch()
    metric: str = EPISODIC_RETURN
    """``episodic_return``, or a tag that the script logs."""
    mode: Mode = "max"
    max_concurrent: _Count | None = None
    """Samples under way at once; None leaves it to the resources."""
    vary_seed: bool = False
    """Whether each run has a seed of its own, counted up from the experiment's."""

    @model_validator(mode="after")
    def _check_seeds(self) -> Self:
        if self.vary_seed and isinstance(self.scheduler, SeedRace):
            raise ValueError("vary_seed has no effect with SeedRace, which gives all samples the same seeds")
        return self


class Saving(Strict):
    """What a race has cost, and spared against all seeds for every sample, in hours of what its runs reserved."""

    unit: Literal["GPU", "CPU"]
    used_hours: float
    """Measured: how long the attempts of the runs took, times what each reserved."""
    saved_hours: float
    """Estimated: each run that was never made would have taken as long as those of its sample did on average."""
    used_runs: int
    saved_runs: int


class StudyResult(Strict):
    """How a study ended; the best score is NaN where nothing was measured.

    Where samples had several seeds the best run is the best one of the best configuration, and its score is the
    interquartile mean over the seeds.
    """

    model_config = Strict.model_config | {"allow_inf_nan": True}

    best_run_id: str | None
    best_score: float
    best_hyperparameters: dict[str, FlagValue] = Field(default_factory=dict)
    num_runs: int = 0
    configurations: list[Configuration] = Field(default_factory=list)
    """Of samples with several seeds, the best first; else empty."""
    is_clear: bool | None = None
    """Whether no interval overlaps the best one's; None where nothing was raced."""
    saving: Saving | None = None
    """None where nothing was raced."""


_KINDS: dict[str, type[Strict]] = {
    kind.__name__: kind for kind in (Fifo, SeedRace, Asha, Pbt, Schedule, RandomSearch, GridSearch, Tpe)
}


def study_to_data(study: Study) -> dict[str, Any]:
    """Return *study* as JSON can hold it."""
    data = study.model_dump(mode="json")
    for key in ("scheduler", "search_alg"):
        data[key] = {"kind": type(getattr(study, key)).__name__, **data[key]}
    return data | {"param_space": study.param_space.to_data()}


def study_from_data(data: Mapping[str, Any]) -> Study:
    """Return the study that :func:`study_to_data` was given.

    Raises:
        ValueError: It is none.
    """
    values = dict(data)
    for key in ("scheduler", "search_alg"):
        fields = dict(values[key])
        values[key] = _KINDS[fields.pop("kind")].model_validate(fields)
    return Study(**values | {"param_space": SearchSpace.parse(values["param_space"])})
