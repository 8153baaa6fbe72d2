from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from lineages import execution_of, lineage_of, member

from arena_ray.model.errors import NotFound
from arena_ray.model.records import Lineage
from arena_ray.model.states import RunState
from arena_ray.orchestrator.api import MetricSeries
from arena_ray.orchestrator.comparison import Comparing


@dataclass
class Read(Comparing):
    """What would be read of a registry and its archives."""

    found: Lineage
    logged: dict[str, dict[str, float]] = field(default_factory=dict)

    def lineage(self, name: str, execution: str | None = None) -> Lineage:
        return self.found

    def metrics(self, key: str, tag: str | None = None, last: int | None = None) -> list[MetricSeries]:
        return [
            MetricSeries(tag=name, points=[(0, 99.0, 0.0), (1, end, 0.0)]) for name, end in self.logged[key].items()
        ]


def sweep(count: int = 4, **settings: Any) -> Lineage:
    """Return a sweep of *count* rates with two seeds each: the smaller the rate, the better."""
    runs = [
        member(at, -0.1 * (at // 2) + 0.01 * (at % 2), seed=at % 2, revision_id=f"v{at // 2}", hyperparameters=values)
        for at in range(2 * count)
        if (values := {"gamma": 0.9, "learning_rate": 0.01 * (at // 2 + 1), "ent_coef": 0.01 * (at // 2 % 5)})
    ]
    return lineage_of(*runs, execution=execution_of(**settings))


def test_configurations_are_ranked_as_the_plugin_compares() -> None:
    found = Read(sweep()).ranking("race")
    assert (found.metric, found.mode, found.confidence, found.execution_id) == ("episodic_return", "max", 0.95, "x1")
    assert [each.seeds for each in found.configurations] == [[0, 1]] * 4
    assert [each.hyperparameters["learning_rate"] for each in found.configurations] == [0.01, 0.02, 0.03, 0.04]
    assert found.configurations[0].hyperparameters.keys() == {"learning_rate", "ent_coef"}


def test_another_metric_counts_by_the_newest_value_that_was_logged() -> None:
    logged = {f"run{at}": {"losses/value": float(at)} for at in range(3)} | {"run3": {}}
    read = Read(sweep(2, metric="losses/value", mode="min", confidence=0.8), logged)
    found = read.ranking("race")
    assert (found.metric, found.mode, found.confidence) == ("losses/value", "min", 0.8)
    assert [(each.scores[0], each.missing) for each in found.configurations] == [(0.0, 0), (2.0, 1)]
    assert read.ranking("race", "losses/value").mode == "min", "the same metric, so the plugin's mode"
    assert read.ranking("race", "losses/value", "max").mode == "max"


def test_a_metric_that_no_run_has_logged_is_an_error_only_where_somebody_asked_for_it() -> None:
    read = Read(sweep(2, metric="losses/value"), {f"run{at}": {"losses/policy": 1.0} for at in range(4)})
    with pytest.raises(NotFound, match="no metric 'losses/valu'"):
        read.ranking("race", "losses/valu")
    assert [each.missing for each in read.ranking("race").configurations] == [2, 2]


def test_runs_that_go_on_are_counted_and_left_out() -> None:
    lineage = lineage_of(member(0, 1.0), member(1, 2.0, RunState.RUNNING))
    found = Read(lineage).ranking("race")
    assert (found.unfinished, [each.seeds for each in found.configurations]) == (1, [[0]])


def test_without_a_plugin_the_runs_are_ranked_by_what_they_differ_in() -> None:
    lineage = sweep().model_copy(update={"execution": None})
    found = Read(lineage).ranking("race")
    assert (found.execution_id, found.mode) == (None, "max")
    assert found.configurations[0].hyperparameters == {"learning_rate": 0.01, "ent_coef": 0.0}


@pytest.mark.parametrize("param_space", [{"learning_rate": {"uniform": [0.0, 1.0]}}, {"learning_rate": 3}, None])
def test_a_configuration_counts_once_for_the_importance_by_all_its_seeds(param_space: Any) -> None:
    found = Read(sweep(25, param_space=param_space)).importance("race")
    assert (found.reason, found.configurations, found.left_out) == (None, 25, {})
    assert next(iter(found.importances)) == "learning_rate"


def test_runs_that_do_not_count_for_the_importance_are_told_with_the_reason() -> None:
    runs = [
        member(0, 1.0),
        member(1, math.nan),
        member(2, 1.0, RunState.STOPPED),
        member(3, 1.0, RunState.RUNNING),
        member(4, 1.0, generation=2),
    ]
    found = Read(lineage_of(*runs)).importance("race")
    assert found.left_out == {
        "has no score": 1,
        "is stopped": 1,
        "has not ended yet": 1,
        "changed its hyperparameters while it trained": 1,
    }
    assert (found.importances, found.needed) == ({}, 20)
    assert found.reason is not None
    assert "20 configurations" in found.reason
