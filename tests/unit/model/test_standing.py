from __future__ import annotations

import math

import pytest
from lineages import lineage_of, member

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
