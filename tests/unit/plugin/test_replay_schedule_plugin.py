from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from unit.plugin.recording import Context, mistakes_of, study_of

from arena_ray.model.errors import ArenaError
from arena_ray.plugin import Schedule, StudyResult
from arena_ray.plugin.study import study_from_data, study_to_data
from arena_ray.testing.plugins import load_plugins

SCHEDULE = [
    {"step": 0, "hyperparameters": {"learning_rate": 0.1, "clip": True}},
    {"step": 500, "hyperparameters": {"learning_rate": 0.2}},
]


def test_it_asks_for_one_run_that_begins_with_the_first_values() -> None:
    study = study_of("replay_schedule", schedule=SCHEDULE, metric="losses/value", mode="min")
    assert study.scheduler == Schedule.parse(SCHEDULE)
    assert study.param_space.to_data() == {"learning_rate": {"choice": [0.1]}, "clip": {"choice": [True]}}
    assert (study.num_samples, study.vary_seed, study.metric, study.mode) == (1, False, "losses/value", "min")
    assert study_from_data(study_to_data(study)) == study


def test_what_is_wrong_with_the_schedule_is_told_with_its_place() -> None:
    assert mistakes_of("replay_schedule") == ["plugin.settings.schedule: is needed, and has no default"]
    [told] = mistakes_of("replay_schedule", schedule=SCHEDULE[1:])
    assert told == "plugin.settings.schedule[0]: is to be at step 0, not 500: it says with which values the run begins"


class Api:
    def __init__(self, **hyperparameters: Any) -> None:
        self.result = StudyResult(best_run_id=None, best_score=math.nan)  # its metric was never logged
        rows = {"e1": {"hyperparameters": hyperparameters}}
        self.db = SimpleNamespace(runs=SimpleNamespace(find_one=lambda query: rows.get(query["execution_id"])))

    def tune(self, **_: Any) -> StudyResult:
        return self.result


@pytest.mark.parametrize(
    ("ended", "should_stop", "is_well"),
    [
        ({"learning_rate": 0.2}, False, True),
        ({"learning_rate": 0.1}, False, False),
        ({"learning_rate": 0.1}, True, True),
    ],
)
def test_a_run_that_ended_without_its_last_values_has_not_followed_it(
    ended: dict[str, Any], should_stop: bool, is_well: bool
) -> None:
    settings = {"schedule": Schedule.parse(SCHEDULE), "metric": "episodic_return", "mode": "max"}
    context, api = Context("replay_schedule", settings, should_stop=should_stop), Api(clip=True, **ended)
    function = load_plugins().require("replay_schedule").function
    if is_well:
        assert function(context, api) is api.result
    else:
        with pytest.raises(ArenaError, match=r"without the last values of learning_rate; 'arena lineage demo' tells"):
            function(context, api)
