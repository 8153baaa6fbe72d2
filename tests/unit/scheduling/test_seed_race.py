from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from arena_ray.plugin.study import SeedRace
from arena_ray.scheduling.seed_race import Cell, Race, Stand

NAN = math.nan
RULES = SeedRace(min_seeds=3, max_seeds=8)


@dataclass(frozen=True)
class Population:
    """Configurations with what each of their seeds would reach."""

    table: tuple[tuple[float, ...], ...]

    @classmethod
    def drawn(cls, means: list[float], *, deviation: float, seed: int) -> Population:
        shape = (len(means), RULES.max_seeds)
        drawn = np.random.RandomState(seed).normal(np.array(means)[:, None], deviation, size=shape)
        return cls(tuple(map(tuple, drawn.tolist())))

    def race(self, *, mode: str = "max", seed: int = 1) -> tuple[Stand, dict[Cell, float]]:
        """Race to the end, and return how it ended and the scores that it took."""
        scores: dict[Cell, float] = {}
        while True:
            stand = Race(RULES, range(len(self.table)), mode=mode, seed=seed).stand(scores)
            if stand.is_over:
                return stand, scores
            scores |= {(entrant, number): self.table[entrant][number] for entrant, number in stand.cells}

    def best(self, counts: dict[int, int]) -> int:
        def middle(entrant: int) -> float:
            scores = sorted(self.table[entrant][: counts[entrant]])
            cut = len(scores) // 4
            return math.fsum(scores[cut : len(scores) - cut]) / (len(scores) - 2 * cut)

        return max(counts, key=middle)


def compare(populations: int) -> tuple[float, float, float]:
    """Return how often the race and the full grid find the best, and which share of the grid's runs the race takes."""
    means, found, by_grid, runs = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 0, 0, 0
    for seed in range(populations):
        population = Population.drawn(means, deviation=1.0, seed=seed)
        stand, scores = population.race(seed=seed)
        found += population.best(stand.seeds) == 5
        by_grid += population.best(dict.fromkeys(range(6), RULES.max_seeds)) == 5
        runs += len(scores)
    return found / populations, by_grid / populations, runs / populations / (6 * RULES.max_seeds)


def test_it_finds_the_best_as_often_as_the_full_grid_with_fewer_runs() -> None:
    found, by_grid, share = compare(12)
    assert found >= by_grid - 0.05
    assert share < 0.7


@pytest.mark.slow
def test_it_finds_the_best_as_often_as_the_full_grid_in_many_populations() -> None:
    found, by_grid, share = compare(300)
    assert found >= by_grid - 0.01
    assert share < 0.6


def test_every_configuration_begins_with_the_same_number_of_seeds() -> None:
    stand = Race(RULES, [0, 2], mode="max", seed=1).stand({})
    assert stand.cells == [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (2, 2)]
    assert not stand.is_over


def test_only_those_close_to_the_best_get_another_seed() -> None:
    scores = table_of([1.0, 1.1, 1.2], [9.0, 9.4, 9.8], [9.2, 9.6, 10.0])
    assert Race(RULES, range(3), mode="max", seed=1).stand(scores).seeds == {0: 3, 1: 4, 2: 4}
    assert Race(RULES, range(3), mode="min", seed=1).stand(scores) == Stand({0: 3, 1: 3, 2: 3}, True, True)


def test_a_race_waits_until_all_that_it_asked_for_have_ended() -> None:
    scores = table_of([1.0, 1.1, 1.2], [9.0, 9.4, 9.8], [9.2, 9.6, 10.0])
    scores[1, 3] = 9.5
    assert Race(RULES, range(3), mode="max", seed=1).stand(scores).seeds == {0: 3, 1: 4, 2: 4}


def test_one_that_fell_behind_comes_back_when_the_leader_falls() -> None:
    scores = table_of([7.0, 7.1, 7.2], [9.0, 9.4, 9.8], [9.2, 9.6, 10.0])
    scores |= {(entrant, seed): -90.0 for entrant in (1, 2) for seed in (3, 4, 5)}
    assert Race(RULES, range(3), mode="max", seed=1).stand(scores).seeds[0] > 3


def test_equal_ones_run_out_of_seeds_and_none_is_the_winner() -> None:
    stand, scores = Population(((5.0,) * 8,) * 2).race()
    assert stand == Stand({0: 8, 1: 8}, is_over=True, is_clear=False)
    assert len(scores) == 16


def test_one_whose_every_seed_failed_gets_no_more_and_the_winner_is_clear() -> None:
    stand = Race(RULES, range(2), mode="max", seed=1).stand(table_of([NAN, NAN, NAN], [1.0, 2.0, 3.0]))
    assert stand == Stand({0: 3, 1: 3}, is_over=True, is_clear=True)


def test_where_all_failed_it_is_over_without_a_winner() -> None:
    stand = Race(RULES, range(2), mode="min", seed=1).stand(table_of([NAN] * 3, [NAN] * 3))
    assert stand == Stand({0: 3, 1: 3}, is_over=True, is_clear=False)


def test_the_same_seed_leads_to_the_same_race() -> None:
    population = Population.drawn([1.0, 1.2, 1.4, 3.0], deviation=1.0, seed=5)
    assert population.race(seed=4) == population.race(seed=4)


def table_of(*entrants: list[float]) -> dict[Cell, float]:
    return {(entrant, seed): score for entrant, scores in enumerate(entrants) for seed, score in enumerate(scores)}
