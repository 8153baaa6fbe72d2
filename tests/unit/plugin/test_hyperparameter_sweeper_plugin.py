from __future__ import annotations

from typing import Any

import pytest
from unit.plugin.recording import Context, RecordingApi, mistakes_of, study_of

from arena_ray.model.configurations import Configuration
from arena_ray.model.search_space import SearchSpace
from arena_ray.plugin import Asha, Fifo, GridSearch, RandomSearch, SeedRace, StudyResult, Tpe
from arena_ray.plugin.schema import check_settings
from arena_ray.plugin.study import Study
from arena_ray.testing.plugins import load_plugins

SPACE = {"batch_size": {"choice": [16, 32]}}
NAME = "hyperparameter_sweeper"


def test_little_need_be_given() -> None:
    assert study_of(NAME, param_space=SPACE, num_samples=5) == Study(
        param_space=SearchSpace.parse(SPACE), num_samples=5, scheduler=Fifo(), search_alg=RandomSearch()
    )


def test_a_grid_takes_every_combination() -> None:
    study = study_of(NAME, param_space=SPACE, search="grid")
    assert (study.num_samples, study.search_alg) == (None, GridSearch())


def test_everything_that_is_given_arrives() -> None:
    study = study_of(
        NAME,
        param_space=SPACE,
        search="tpe",
        num_samples=20,
        scheduler="asha",
        grace_period=1000,
        reduction_factor=3,
        max_steps=9000,
        metric="charts/SPS",
        mode="min",
        max_concurrent=2,
        n_startup=4,
    )
    assert study.search_alg == Tpe(n_startup=4)
    assert study.scheduler == Asha(grace_period=1000, reduction_factor=3, max_steps=9000)
    assert (study.metric, study.mode, study.max_concurrent, study.vary_seed) == ("charts/SPS", "min", 2, False)


@pytest.mark.parametrize(
    ("values", "mistake"),
    [
        ({}, "num_samples is needed with search: random"),
        ({"search": "tpe"}, "num_samples is needed with search: tpe"),
        (
            {"search": "grid", "num_samples": 3},
            "num_samples has no effect with search: grid, which takes every combination once",
        ),
        ({"num_samples": 3, "scheduler": "asha"}, "grace_period is needed with scheduler: asha"),
        ({"num_samples": 3, "grace_period": 10}, "grace_period has no effect without scheduler: asha"),
        ({"num_samples": 3, "max_steps": 10}, "max_steps has no effect without scheduler: asha"),
        (
            {"num_samples": 3, "scheduler": "asha", "grace_period": 10, "max_steps": 9},
            "max_steps must not be below grace_period, 10, but is 9",
        ),
        ({"num_samples": 3, "min_seeds": 3, "max_seeds": 2}, "max_seeds must not be below min_seeds, 3, but is 2"),
        (
            {"num_samples": 3, "max_seeds": 5},
            "min_seeds must be at least 3 where max_seeds is more, but is 1: "
            "of fewer scores no interval tells whether one is better",
        ),
        (
            {"num_samples": 3, "min_seeds": 2, "scheduler": "asha", "grace_period": 10},
            "min_seeds and max_seeds have no effect with scheduler: asha: "
            "what it stops early has no score that could be compared over seeds",
        ),
        ({"num_samples": 3, "confidence": 1.0}, "confidence must lie between 0 and 1, but is 1"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], mistake: str) -> None:
    assert mistakes_of(NAME, param_space=SPACE, **values) == [f"plugin.settings: {mistake}"]


def test_a_grid_over_a_continuous_dimension_is_refused_with_all_other_mistakes() -> None:
    space = {"gamma": {"uniform": [0.9, 1.0]}, "batch_size": {"choice": [1, 2]}}
    told = mistakes_of(NAME, search="grid", param_space=space, num_samples=2, max_concurrent=0, scheduler="asha")
    assert told[0] == "plugin.settings.max_concurrent: must be at least 1, not 0"
    assert [line for line in told if "gamma" in line]
    assert told[-1] == "plugin.settings: grace_period is needed with scheduler: asha"
    assert len(told) == 4


@pytest.mark.parametrize(
    ("settings", "scheduler"),
    [
        ({"min_seeds": 1}, Fifo()),
        ({"min_seeds": 2}, SeedRace(min_seeds=2, max_seeds=2)),
        ({"min_seeds": 3, "max_seeds": 7, "confidence": 0.9}, SeedRace(min_seeds=3, max_seeds=7, confidence=0.9)),
    ],
)
def test_seeds_are_raced_where_there_may_be_more_than_one(settings: dict[str, Any], scheduler: Fifo) -> None:
    assert study_of(NAME, param_space=SPACE, num_samples=5, **settings).scheduler == scheduler


def test_what_the_seeds_have_come_to_is_written_into_a_note() -> None:
    class Api(RecordingApi):
        notes: list[str]

        def tune(self, **arguments: Any) -> StudyResult:
            configuration = Configuration(
                hyperparameters={"batch_size": 16},
                env_id="x",
                run_ids=["r1", "r2"],
                seeds=[1, 2],
                scores=[1.0, 2.0],
                missing=0,
                iqm=1.5,
                low=1.0,
                high=2.0,
            )
            return StudyResult(best_run_id="r2", best_score=1.5, configurations=[configuration])

        def add_note(self, message: str) -> None:
            self.notes = [message]

    plugin, api = load_plugins().require(NAME), Api()
    values = {"param_space": SPACE, "num_samples": 1, "min_seeds": 2}
    plugin.function(Context(NAME, check_settings(plugin.schema, values, place="plugin.settings")), api)
    assert api.notes == [
        "1 configuration in 2 runs, ranked by their interquartile means:\n1. batch_size 16: IQM 1.5 [1, 2]; 2 seeds"
    ]
