from __future__ import annotations

import json
import math
from typing import Any

import pytest
from lineages import member

from arena_ray.model.configurations import Configuration, rank_configurations, replications
from arena_ray.model.records import Run
from arena_ray.model.states import RunState

NAN = math.nan


def trained(number: int, score: float, revision: str, **changes: Any) -> Run:
    return member(number, score, changes.pop("state", RunState.COMPLETED), revision_id=revision, **changes)


def ranked(*runs: Run, mode: str = "max", **keys: Any) -> list[Configuration]:
    scores = {run.run_id: run.episodic_return for run in runs}
    return rank_configurations(replications(runs), scores, mode=mode, **keys)


def seeds(configurations: list[Configuration]) -> list[list[int]]:
    return [each.seeds for each in configurations]


def test_runs_of_one_revision_are_one_configuration_and_the_better_one_comes_first() -> None:
    first, second = ranked(
        *(trained(at, 10.0 + at, "r1") for at in range(4)), *(trained(at, 20.0 + at, "r2") for at in range(4, 8))
    )
    assert (second.seeds, second.scores) == ([0, 1, 2, 3], [10.0, 11.0, 12.0, 13.0])
    assert (first.iqm, second.iqm) == (25.5, 11.5)
    assert second.low < 11.5 < second.high < first.low
    assert (first.probability_of_improvement, math.isnan(second.probability_of_improvement)) == (1.0, True)


def test_where_less_is_better_the_interval_keeps_its_ends_in_order() -> None:
    runs = [trained(at, float(at), "r1") for at in range(4)] + [trained(at, 9.0 - at, "r2") for at in range(4, 8)]
    first, second = ranked(*runs, mode="min")
    assert (first.iqm, second.iqm) == (1.5, 3.5)
    assert first.low < first.iqm < first.high
    assert first.probability_of_improvement > 0.5


def test_a_seed_without_a_score_counts_as_worse_than_all_and_is_counted() -> None:
    runs = [trained(0, 1.0, "r1"), trained(1, NAN, "r1"), *(trained(at, -5.0, "r2") for at in range(2, 6))]
    first, second = ranked(*runs, trained(6, 900.0, "r2", state=RunState.FAILED))
    assert (first.seeds, first.iqm, first.missing) == ([2, 3, 4, 5, 6], -5.0, 1)
    assert (second.missing, math.isnan(second.iqm), math.isnan(second.low)) == (1, True, True)
    assert json.loads(second.model_dump_json())["scores"] == [1.0, None]


def test_another_training_with_the_same_seed_is_no_other_replication() -> None:
    runs = [
        trained(0, NAN, "r1", seed=1, state=RunState.FAILED),
        trained(1, 5.0, "r1", seed=1),
        trained(2, 99.0, "r1", seed=1),
    ]
    [only] = ranked(*runs)
    assert (only.seeds, only.scores, only.run_ids) == ([1], [5.0], ["run1"])


def test_runs_that_go_on_are_left_out_and_one_that_an_exploit_has_changed_stands_alone() -> None:
    runs = [trained(0, 1.0, "r1"), trained(1, 2.0, "r1", state=RunState.RUNNING), trained(2, 3.0, "r1", generation=1)]
    assert seeds(ranked(*runs)) == [[2], [0]]


def test_one_seed_has_a_score_and_no_interval() -> None:
    [only] = ranked(trained(0, 7.0, "r1"))
    assert only.iqm == 7.0
    assert all(map(math.isnan, (only.low, only.high, only.probability_of_improvement)))


@pytest.mark.parametrize(("tuned", "told"), [((), {"gamma", "learning_rate", "ent_coef"}), (("gamma", "x"), {"gamma"})])
def test_the_hyperparameters_that_are_told_are_those_that_are_tuned(tuned: tuple[str, ...], told: set[str]) -> None:
    [only] = ranked(trained(0, 7.0, "r1"), tuned=tuned)
    assert only.hyperparameters.keys() == told
