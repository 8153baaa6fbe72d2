from __future__ import annotations

import math

import pytest
from lineages import execution_of, lineage_of, member, milestone

from arena_ray.model.records import Lineage
from arena_ray.model.standing import Standing
from arena_ray.model.states import RunState


def test_the_best_of_those_that_have_completed_wins() -> None:
    lineage = lineage_of(member(0, 5.0), member(1, 9.0), member(2, 99.0, RunState.STOPPED))
    standing = Standing(lineage)
    assert standing.winner is lineage.runs[1]
    assert [run.member for run in standing.ranked] == [1, 0, 2]


def test_without_a_score_nobody_wins() -> None:
    assert Standing(lineage_of(member(0, math.nan))).winner is None
    assert Standing(lineage_of()).winner is None


def test_only_the_runs_of_a_plugin_execution_are_ranked() -> None:
    with pytest.raises(LookupError, match="has no plugin execution"):
        _ = Standing(Lineage(experiment="x", execution=None, runs=[], milestones=[], exploits=[])).execution


def test_the_best_run_is_of_the_configuration_that_is_best_over_its_seeds() -> None:
    steady = [member(at, 50.0 + at, revision_id="steady") for at in range(3)]
    lucky = [member(3 + at, score, revision_id="lucky") for at, score in enumerate((99.0, 1.0, 2.0))]
    standing = Standing(lineage_of(*lucky, *steady))
    assert standing.winner == steady[2]
    assert [run.member for run in standing.ranked] == [2, 1, 0, 3, 5, 4]


def test_a_configuration_with_a_failed_seed_is_behind_those_without() -> None:
    fragile = [member(0, 99.0, revision_id="fragile"), member(1, 99.0, RunState.FAILED, revision_id="fragile")]
    standing = Standing(lineage_of(*fragile, member(2, 5.0, revision_id="sound"), member(3, 4.0, revision_id="sound")))
    assert [run.member for run in standing.ranked] == [2, 3, 0, 1]


def test_runs_with_equal_seeds_are_compared_by_what_each_has_reached() -> None:
    assert Standing(lineage_of(member(0, 5.0, seed=1), member(1, 9.0, seed=1))).winner.member == 1


def test_of_a_population_the_best_run_wins_whatever_others_of_its_revision_have_reached() -> None:
    runs = [member(0, 99.0, revision_id="r1"), member(1, 1.0, revision_id="r1"), member(2, 60.0, revision_id="r2")]
    assert Standing(lineage_of(*runs, milestones=[milestone(0, 50.0)])).winner == runs[0]
    assert Standing(lineage_of(*runs)).winner == runs[2]


def test_by_another_metric_runs_that_do_not_hold_are_compared_by_what_they_logged_last() -> None:
    lineage = lineage_of(member(0, 9.0), member(1, 1.0), execution=execution_of(metric="losses/value", mode="min"))
    assert Standing(lineage).winner is None
    standing = Standing(lineage.model_copy(update={"final_scores": {"run0": 4.0, "run1": 3.0}}))
    assert standing.winner == lineage.runs[1]
    judged = lineage.model_copy(update={"final_scores": {"run0": 4.0, "run1": 3.0}, "milestones": [milestone(0, 2.0)]})
    assert Standing(judged).winner == lineage.runs[0]
