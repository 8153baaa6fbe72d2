from __future__ import annotations

import math

import pytest
from lineages import execution_of, lineage_of, member, milestone, race

from arena_ray.cli.ranking import Ranking, setting
from arena_ray.model.records import Run
from arena_ray.model.states import RunState


def order(ranking: Ranking) -> list[int | None]:
    return [run.member for run in ranking.ranked]


def test_the_best_of_those_that_completed_comes_first_and_what_failed_last() -> None:
    assert order(Ranking(race())) == [1, 2, 0, 3]


def test_a_run_that_was_stopped_is_never_the_best_however_high_it_stood() -> None:
    ranking = Ranking(lineage_of(member(0, 500.0, RunState.STOPPED), member(1, 20.0)))
    assert order(ranking) == [1, 0]
    assert ranking.winner is not None
    assert ranking.winner.member == 1


@pytest.mark.parametrize(
    "runs", [(), (member(0, 500.0, RunState.RUNNING),), (member(0, math.nan),)], ids=["none", "running", "unmeasured"]
)
def test_without_a_completed_run_that_has_a_return_none_is_the_best(runs: tuple[Run, ...]) -> None:
    assert Ranking(lineage_of(*runs)).winner is None


def test_a_return_that_was_never_measured_is_behind_the_worst() -> None:
    for mode in ("max", "min"):
        runs = (member(0, math.nan), member(1, -500.0), member(2, 500.0))
        assert order(Ranking(lineage_of(*runs, execution=execution_of(mode=mode))))[-1] == 0


def test_another_metric_counts_by_its_newest_milestone_and_in_the_mode_of_the_plugin() -> None:
    milestones = [milestone(0, 0.1), milestone(1, 0.5), milestone(0, 0.9, at=2), milestone(1, 0.2, at=2)]
    execution = execution_of(metric="losses/value_loss", mode="min")
    ranking = Ranking(lineage_of(member(0, 500.0), member(1, 20.0), execution=execution, milestones=milestones))
    assert order(ranking) == [1, 0]
    assert [row["losses/value_loss"] for row in ranking.rows()] == ["0.2", "0.9"]
    assert [row["return"] for row in ranking.rows()] == ["20", "500"]


def test_the_leaderboard_says_what_each_run_reached_and_with_what() -> None:
    assert Ranking(race()).rows()[0] == {
        "rank": "1",
        "run": "1  CartPole-v1__ppo__1__1700000000",
        "state": "completed",
        "steps": "100,352",
        "return": "500",
        "learning_rate": "0.0005",
        "ent_coef": "0.02",
        "exploits": "1",
    }


def test_what_a_plugin_without_a_search_space_tunes_is_what_the_runs_differ_in() -> None:
    other = member(1, 1.0, hyperparameters={"gamma": 0.98, "learning_rate": 0.5, "ent_coef": 0.01})
    ranking = Ranking(lineage_of(member(0, 1.0), other, execution=execution_of(param_space=None)))
    assert ranking.tuned == ("learning_rate",)


def test_a_hyperparameter_that_a_run_does_not_have_is_shown_as_absent() -> None:
    ranking = Ranking(lineage_of(member(0, 1.0, hyperparameters={"learning_rate": 0.5})))
    assert ranking.rows()[0]["ent_coef"] == "-"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.000312345, "0.00031235"), (1024, "1,024"), (True, "True"), ("tanh", "tanh"), (None, "None")]
)
def test_hyperparameters_are_written_as_figures_where_they_are_numbers(value: object, shown: str) -> None:
    assert setting(value) == shown
