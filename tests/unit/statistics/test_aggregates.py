from __future__ import annotations

import math

import numpy as np
import pytest

from arena_ray.statistics.aggregates import (
    interquartile_mean,
    mean,
    median,
    missing_as_worst,
    optimality_gap,
    probability_of_improvement,
)

NAN, WORST = math.nan, -math.inf


@pytest.mark.parametrize("aggregate", [interquartile_mean, mean, median, optimality_gap])
@pytest.mark.parametrize(("scores", "says"), [([1.0, NAN], "NaN"), ([], "at least one"), (3.0, "at least one")])
def test_a_score_that_is_missing_is_refused_and_not_left_out(aggregate, scores, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        aggregate(scores)


def test_the_best_and_the_worst_quarter_do_not_count() -> None:
    assert interquartile_mean([9.0, 1.0, 2.0, -50.0]) == 1.5
    assert interquartile_mean([9.0, 1.0, 2.0]) == 4.0, "of three a quarter is none"


@pytest.mark.parametrize(
    ("scores", "expected"), [([NAN, 1.0, 2.0, 3.0], 1.5), ([NAN, NAN, 1.0, 2.0, 3.0], WORST), ([NAN, 1.0], WORST)]
)
def test_up_to_a_quarter_of_the_scores_may_be_missing(scores: list[float], expected: float) -> None:
    assert interquartile_mean(missing_as_worst(scores)) == expected


def test_samples_before_runs_and_tasks_get_a_number_each() -> None:
    scores = np.arange(24.0).reshape(2, 4, 3)
    for aggregate in (interquartile_mean, mean, median, optimality_gap):
        assert list(aggregate(scores)) == [float(aggregate(scores[0])), float(aggregate(scores[1]))]


def test_what_is_above_the_target_does_not_make_up_for_what_is_below() -> None:
    assert optimality_gap([0.5, 9.0]) == 0.25
    assert optimality_gap([0.5, 9.0], target=10.0) == 5.25


def test_a_missing_score_never_beats_anything_and_a_tie_counts_half() -> None:
    assert probability_of_improvement(missing_as_worst([NAN, 2.0]), [1.0, 2.0]) == 0.375
    with pytest.raises(ValueError, match="equal tasks"):
        probability_of_improvement([[1.0, 2.0]], [1.0])
