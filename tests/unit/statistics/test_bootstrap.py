from __future__ import annotations

import math

import pytest

from arena_ray.statistics.aggregates import mean, missing_as_worst
from arena_ray.statistics.bootstrap import bootstrap_interval

SCORES = [3.0, 1.0, 4.0, 1.5, 5.0, 9.0]


def test_the_same_seed_gives_the_same_interval_on_every_machine() -> None:
    assert bootstrap_interval(SCORES, seed=3) == bootstrap_interval(SCORES, seed=3)
    assert bootstrap_interval(SCORES, seed=3) == pytest.approx((1.625, 6.5))
    assert bootstrap_interval(SCORES, seed=-1) == bootstrap_interval(SCORES, seed=2**32 - 1)


def test_an_interval_is_wider_where_more_is_to_lie_in_it() -> None:
    narrow, wide = (bootstrap_interval(SCORES, confidence=share) for share in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_it_shrinks_with_the_number_of_seeds() -> None:
    few, many = (bootstrap_interval(SCORES * times) for times in (1, 8))
    assert many.high - many.low < (few.high - few.low) / 2


def test_runs_are_drawn_for_each_task_by_itself() -> None:
    apart = [[0.0, 1.0], [1.0, 0.0]]
    low, high = bootstrap_interval(apart, mean)
    assert (low, high) == (0.0, 1.0), "both rows as they are have the mean 0.5, whatever is drawn"


def test_it_has_no_lower_end_where_too_many_scores_may_be_missing() -> None:
    low, high = bootstrap_interval(missing_as_worst([math.nan, 2.0, 3.0, 4.0]))
    assert (low, high) == (-math.inf, 4.0)
