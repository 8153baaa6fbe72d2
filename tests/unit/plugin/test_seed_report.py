from __future__ import annotations

import math
from typing import Any

import pytest

from arena_ray.model.configurations import Configuration
from arena_ray.plugin.seed_report import seed_report
from arena_ray.plugin.study import Saving, StudyResult


def configuration(rate: float, **changes: Any) -> Configuration:
    values: dict[str, Any] = {
        "hyperparameters": {"rate": rate, "anneal": True},
        "env_id": "x",
        "run_ids": ["a", "b", "c"],
        "seeds": [1, 2, 3],
        "scores": [1.0, 2.0, 3.0],
        "missing": 0,
        "iqm": 2.0,
        "low": 1.0,
        "high": 3.0,
    }
    return Configuration(**(values | changes))


def report(*configurations: Configuration, **keys: Any) -> list[str]:
    keys = {"best_run_id": "a", "best_score": 2.0} | keys
    return seed_report(StudyResult(configurations=list(configurations), **keys)).splitlines()


def test_it_ranks_with_intervals_and_says_what_was_saved_and_how_that_was_estimated() -> None:
    saving = Saving(unit="GPU", used_hours=1.5, saved_hours=1234.5, used_runs=6, saved_runs=14)
    first = configuration(0.1, iqm=480.123, low=460.0, high=1500.0, probability_of_improvement=0.9)
    second = configuration(0.2, missing=1, iqm=math.nan, low=math.nan, high=3.0)
    assert report(first, second, is_clear=True, saving=saving) == [
        "2 configurations in 6 runs: the best is clear, no other interval overlaps its own:",
        "1. rate 0.1, anneal True: IQM 480.1 [460, 1,500]; 3 seeds; better than the next with probability 0.90",
        "2. rate 0.2, anneal True: IQM - [-, 3]; 3 seeds; 1 without a score, counted as worse than all",
        "6 runs took 1.5 GPU-hours; about 1,234 GPU-hours were saved by 14 runs not made. That is an "
        "estimate: each would have lasted as long as the runs of its configuration did on average.",
    ]


@pytest.mark.parametrize(
    ("changes", "is_clear", "says"),
    [
        ({}, False, "the best is not clear"),
        ({}, None, "ranked by their interquartile means"),
        ({"iqm": math.nan}, False, "none has a score for three quarters of its seeds"),
    ],
)
def test_its_first_line_says_how_sure_the_winner_is(changes: Any, is_clear: bool | None, says: str) -> None:
    assert says in report(configuration(0.1, **changes), is_clear=is_clear)[0]


def test_of_many_configurations_the_best_are_told() -> None:
    lines = report(*(configuration(rate) for rate in range(25)))
    assert len(lines) == 22
    assert lines[-1] == "and 5 more"
