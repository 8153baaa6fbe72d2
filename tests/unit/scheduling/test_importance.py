from __future__ import annotations

import random

import pytest

from arena_ray.model.search_space import SearchSpace
from arena_ray.scheduling.importance import NEEDED, shares
from arena_ray.scheduling.search import Trained

SPACE = SearchSpace.parse(
    {
        "rate": {"loguniform": [1e-4, 1e-1]},
        "width": {"choice": [64, 128]},
        "optimizer": {"choice": ["adam", "sgd"]},
        "momentum": {"uniform": [0.0, 0.9], "when": {"optimizer": "sgd"}},
    }
)
NAMES = SPACE.names


def trained(count: int, *, by: str = "rate") -> list[Trained]:
    """Return configurations whose score depends on one hyperparameter alone."""
    samples = [SPACE.sample(random.Random(at)) for at in range(count)]
    return [Trained(sample, -float(sample[by])) for sample in samples]


@pytest.mark.parametrize("space", [SPACE, None], ids=["known space", "unknown space"])
def test_the_hyperparameter_that_makes_the_difference_has_the_largest_share(space: SearchSpace | None) -> None:
    found, reason = shares(trained(60), space=space, names=NAMES, mode="max")
    assert reason is None
    assert found.keys() == set(NAMES), "one that is there only under a condition has a share too"
    assert next(iter(found)) == "rate"
    assert sum(found.values()) == pytest.approx(1.0)


def test_it_is_the_better_ones_that_are_set_apart() -> None:
    best, worst = (shares(trained(60, by="width"), space=SPACE, names=NAMES, mode=mode)[0] for mode in ("max", "min"))
    assert next(iter(best)) == next(iter(worst)) == "width"
    assert best != worst


def test_too_few_are_told_how_many_it_takes() -> None:
    assert shares(trained(NEEDED - 1), space=SPACE, names=NAMES, mode="max") == (
        {},
        "20 configurations that have ended with a score are needed, and there are 19",
    )


def test_where_all_have_reached_the_same_nothing_made_a_difference() -> None:
    equal = [Trained(each.hyperparameters, 500.0) for each in trained(30)]
    found, reason = shares(equal, space=SPACE, names=NAMES, mode="max")
    assert found == {}
    assert reason is not None
    assert "no hyperparameter has made a difference" in reason
