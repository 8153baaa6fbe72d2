from __future__ import annotations

import json

import pytest

from arena_ray.model.search_space import SearchSpace
from arena_ray.plugin.study import Asha, Fifo, GridSearch, Pbt, SeedRace, Study, Tpe, study_from_data, study_to_data

SPACE = SearchSpace.parse({"x": {"choice": [1, 2]}})


@pytest.mark.parametrize(
    "scheduler",
    [Fifo(), SeedRace(min_seeds=4, max_seeds=9, confidence=0.8), Asha(grace_period=5), Pbt(perturbation_interval=5)],
)
def test_a_study_travels_as_json(scheduler: Fifo) -> None:
    study = Study(param_space=SPACE, num_samples=3, scheduler=scheduler, search_alg=Tpe(n_startup=2), mode="min")
    assert study_from_data(json.loads(json.dumps(study_to_data(study)))) == study


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"min_seeds": 5, "max_seeds": 4}, "max_seeds must not be below min_seeds"),
        ({"min_seeds": 2, "max_seeds": 4}, "min_seeds must be at least 3"),
        ({"confidence": 1.0}, "confidence"),
    ],
)
def test_a_race_that_could_tell_nothing_is_refused(values: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SeedRace(**values)


def test_samples_that_are_raced_all_have_the_same_seeds() -> None:
    with pytest.raises(ValueError, match="vary_seed has no effect with SeedRace"):
        Study(param_space=SPACE, num_samples=None, search_alg=GridSearch(), scheduler=SeedRace(), vary_seed=True)
