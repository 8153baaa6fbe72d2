from __future__ import annotations

import math
import random

import pytest
from unit.scheduling.studies import SPACE, distance, study

from arena_ray.model.errors import SpecError
from arena_ray.model.search_space import SearchSpace
from arena_ray.plugin.study import GridSearch, Tpe
from arena_ray.scheduling.search import Trained, open_search

GRID = SearchSpace.parse({"a": {"choice": [1, 2, 3]}, "b": {"randint": [0, 2]}})
CONDITIONAL = SearchSpace.parse(
    {"optimizer": {"choice": ["adam", "sgd"]}, "momentum": {"uniform": [0.0, 0.9], "when": {"optimizer": "sgd"}}}
)


def trained_by(search, count: int) -> list[Trained]:
    """Return runs that ended one after the other, each sampled with what was known before."""
    known: list[Trained] = []
    for member in range(count):
        sample = search.sample(member, known)
        known.append(Trained(sample, distance(sample)))
    return known


@pytest.mark.parametrize(("limit", "size"), [(None, 6), (4, 4), (9, 6)])
def test_a_grid_has_each_combination_once_and_no_more_than_were_asked_for(limit: int | None, size: int) -> None:
    search = open_search(study(param_space=GRID, num_samples=limit, search_alg=GridSearch()), seed=1)
    samples = [tuple(search.sample(member, ()).items()) for member in range(search.size)]
    assert len(set(samples)) == search.size == size


def test_a_space_without_a_grid_is_refused() -> None:
    with pytest.raises(SpecError, match="learning_rate"):
        open_search(study(num_samples=None, search_alg=GridSearch()), seed=1)


def test_a_random_sample_depends_on_seed_and_number_only() -> None:
    first, again, other = (open_search(study(), seed=seed) for seed in (1, 1, 2))
    assert [first.sample(member, ()) for member in (0, 1, 2)] == [again.sample(member, ()) for member in (0, 1, 2)]
    assert first.sample(0, ()) != first.sample(1, ())
    assert first.sample(0, ()) != other.sample(0, ())
    assert not first.learns


def test_one_sample_is_taken_where_no_number_is_given() -> None:
    assert open_search(study(num_samples=None), seed=1).size == 1


def test_tpe_comes_nearer_to_the_optimum() -> None:
    first, last = 0.0, 0.0
    for seed in range(3):
        search = open_search(study(num_samples=24, search_alg=Tpe(n_startup=6)), seed=seed)
        scores = [each.score for each in trained_by(search, 24)]
        first, last = first + sum(scores[:6]), last + sum(scores[-6:])
    assert search.learns
    assert last > first / 2, "twice as near as the random ones"


def test_tpe_gives_the_same_sample_again_where_it_knows_the_same() -> None:
    known = trained_by(open_search(study(search_alg=Tpe(n_startup=2)), seed=1), 4)
    first, again = (open_search(study(search_alg=Tpe(n_startup=2)), seed=1).sample(4, known) for _ in range(2))
    assert first == again


def test_tpe_minimises_where_less_is_better() -> None:
    known = [Trained({"learning_rate": at / 100}, -distance({"learning_rate": at / 100})) for at in range(0, 100, 5)]
    search = open_search(study(mode="min", search_alg=Tpe(n_startup=2)), seed=3)
    samples = [search.sample(member, known)["learning_rate"] for member in range(6)]
    assert sum(abs(float(sample) - 0.3) for sample in samples) / 6 < 0.1


def test_a_run_without_a_score_teaches_tpe_nothing_and_does_no_harm() -> None:
    known = [Trained(SPACE.sample(random.Random(at)), math.nan) for at in range(5)]
    search = open_search(study(search_alg=Tpe(n_startup=1)), seed=1)
    assert SPACE.contains(search.sample(5, known))


def test_tpe_keeps_to_the_conditions_of_the_space() -> None:
    search = open_search(study(param_space=CONDITIONAL, search_alg=Tpe(n_startup=2)), seed=1)
    known: list[Trained] = []
    for member in range(8):
        sample = search.sample(member, known)
        assert CONDITIONAL.contains(sample)
        known.append(Trained(sample, float(sample.get("momentum", -1.0))))
    assert {"momentum" in each.hyperparameters for each in known} == {True, False}
