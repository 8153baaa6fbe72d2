from __future__ import annotations

import pytest
from unit.plugin.recording import mistakes_of, study_of

from arena_ray.model.search_space import SearchSpace
from arena_ray.plugin import Pbt, RandomSearch
from arena_ray.plugin.study import Study

SPACE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}


def test_little_need_be_given() -> None:
    assert study_of("pbt", perturbation_interval=10_000, param_space=SPACE) == Study(
        param_space=SearchSpace.parse(SPACE),
        num_samples=4,
        scheduler=Pbt(perturbation_interval=10_000),
        search_alg=RandomSearch(),
        metric="episodic_return",
        mode="max",
        vary_seed=True,
    )


def test_everything_that_is_given_arrives() -> None:
    study = study_of(
        "pbt",
        population=8,
        metric="losses/value_loss",
        mode="min",
        perturbation_interval=1e4,
        param_space=SPACE,
        quantile_fraction=0.5,
        resample_probability=0,
        perturbation_factors=[2, 0.5],
        min_gap=0,
        synchronous=True,
        explore="pb2",
    )
    assert (study.num_samples, study.metric, study.mode) == (8, "losses/value_loss", "min")
    assert study.scheduler == Pbt(
        perturbation_interval=10_000,
        quantile_fraction=0.5,
        resample_probability=0.0,
        perturbation_factors=(2, 0.5),
        min_gap=0.0,
        synchronous=True,
        explore="pb2",
    )


@pytest.mark.parametrize(
    "space",
    [{"layers": {"choice": [1, 2]}}, {"layers": {"randint": [1, 3]}, "kind": {"choice": ["a"], "when": {"layers": 2}}}],
)
def test_pb2_needs_a_number_to_propose(space: dict[str, object]) -> None:
    settings = {"perturbation_interval": 10, "param_space": space}
    [told] = mistakes_of("pbt", explore="pb2", **settings)
    assert "pb2 proposes numbers" in told
    assert mistakes_of("pbt", explore="perturb", **settings) == []


def test_all_mistakes_are_told_at_once() -> None:
    told = mistakes_of(
        "pbt", population=1, quantile_fraction=0, perturbation_factors=["a", 1], metric="", synchronous="no"
    )
    assert told == [
        "plugin.settings.population: must be at least 2, not 1",
        "plugin.settings.metric: must have at least 1 character, not 0",
        "plugin.settings.perturbation_interval: is needed, and has no default",
        "plugin.settings.param_space: is needed, and has no default",
        "plugin.settings.synchronous: must be true or false, not 'no'",
        "plugin.settings: quantile_fraction must be above 0: nobody would ever be replaced",
        "plugin.settings: perturbation_factors must be two numbers above 0, not ['a', 1]",
    ]
