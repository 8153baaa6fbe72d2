from __future__ import annotations

from collections.abc import Callable

import pytest

from arena_ray.model.errors import InfeasibleResources, SpecError
from arena_ray.model.states import ExecutionState
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.runner.preflight import Submission

SubmissionOf = Callable[..., Submission]
SPACE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}


def pbt(**settings: object) -> dict[str, object]:
    return {"name": "pbt", "settings": {"perturbation_interval": 1000, "param_space": SPACE} | settings}


def test_a_plugin_s_submission_becomes_an_execution_with_checked_settings(core, drivers, submission_of) -> None:
    started = core.start(submission_of(plugin=pbt()))
    assert (started.run, started.created) == (None, True)
    assert started.execution.settings["population"] == 4, "defaults are filled in"
    assert started.execution.settings["param_space"] == SPACE
    assert (started.execution.plugin, started.execution.state) == ("pbt", ExecutionState.RUNNING)
    assert drivers.asked == [started.experiment_id] == [started.execution.experiment_id]


def test_an_execution_that_has_not_ended_goes_on(core, submission_of) -> None:
    first = core.start(submission_of(plugin=pbt()))
    again = core.start(submission_of(plugin=pbt(population=4)))
    assert (again.execution, again.created) == (first.execution, False)


def test_an_execution_that_goes_on_deploys_where_the_newest_file_says(core, submission_of) -> None:
    first = core.start(submission_of(plugin=pbt()))
    again = core.start(submission_of(plugin=pbt(), deploy={"name": "cartpole"}))
    assert (again.execution.execution_id, again.created) == (first.execution.execution_id, False)
    assert again.execution.spec.deploy.name == "cartpole"


@pytest.mark.parametrize(
    "changed", [{"plugin": pbt(population=6)}, {"seed": 5}, {"flags": {"total_timesteps": 2048}}, {"force_new": True}]
)
def test_what_asks_for_something_else_is_another_execution(core, submission_of, changed) -> None:
    force_new = changed.pop("force_new", False)
    first = core.start(submission_of(plugin=pbt()))
    other = core.start(submission_of(**({"plugin": pbt()} | changed)), force_new=force_new)
    assert other.created
    assert other.execution.execution_id != first.execution.execution_id


def test_an_execution_that_has_ended_does_not_go_on(core, submission_of) -> None:
    first = core.start(submission_of(plugin=pbt()))
    core.experiments.stop("x")
    again = core.start(submission_of(plugin=pbt()))
    assert again.execution.execution_id != first.execution.execution_id


def test_the_same_request_twice_makes_one_execution(core, submission_of) -> None:
    first, second, third = (
        core.start(submission_of(plugin=pbt()), force_new=True, request_id=request) for request in ("r", "r", "s")
    )
    assert first == second
    assert third.execution.execution_id != first.execution.execution_id


@pytest.mark.parametrize(
    ("plugin", "mistakes"),
    [
        ({"name": "pbbt", "settings": {}}, ["did you mean 'pbt'"]),
        (pbt(population=1, quantile_fraction=0.9), ["population", "quantile_fraction"]),
        (
            pbt(param_space={"learning_rat": {"choice": [1]}, "num_steps": {"choice": [64, 128]}}),
            ["did you mean 'learning_rate'", "cannot be changed while ppo runs"],
        ),
    ],
)
def test_every_mistake_of_a_plugin_s_settings_is_told_and_nothing_recorded(
    core: Orchestrator, drivers, submission_of: SubmissionOf, plugin, mistakes: list[str]
) -> None:
    with pytest.raises(SpecError) as caught:
        core.start(submission_of(plugin=plugin))
    assert all(mistake in str(caught.value) for mistake in mistakes), str(caught.value)
    assert drivers.asked == []


def test_an_execution_whose_runs_no_node_could_take_is_refused(core, submission_of) -> None:
    with pytest.raises(InfeasibleResources):
        core.start(submission_of(plugin=pbt(), resources={"cpu": 64}))


@pytest.mark.parametrize("plugin", [None, pbt()], ids=["run", "execution"])
def test_a_request_whose_answer_was_lost_is_carried_out_once_also_by_the_next_orchestrator(
    core, open_core, submission_of, plugin
) -> None:
    submission = submission_of(plugin=plugin)
    first, other = (core.start(submission, force_new=True, request_id=request) for request in ("r", "s"))
    again = open_core().start(submission, force_new=True, request_id="r")
    assert again == first
    assert other != first
