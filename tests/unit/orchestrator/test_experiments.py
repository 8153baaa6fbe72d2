"""Steering of a plugin's experiment as a whole."""

from __future__ import annotations

import pytest

from arena_ray.model.errors import NotFound
from arena_ray.model.records import Run
from arena_ray.model.states import AttemptOutcome, ExecutionState, Intent, RunState
from arena_ray.orchestrator.core import Orchestrator

PLUGIN = {
    "name": "hyperparameter_sweeper",
    "settings": {"num_samples": 4, "param_space": {"learning_rate": {"loguniform": [1e-4, 1e-2]}}},
}
DRIVER = "d"


class Sweep:
    """An execution with runs in all states that are not final, and one that has completed."""

    def __init__(self, core: Orchestrator, submission_of) -> None:
        self.core = core
        self.execution = core.start(submission_of(plugin=PLUGIN)).execution
        self.queued, self.running, self.paused, self.completed = map(self.add, range(4))
        for run in (self.running, self.completed):
            core.begin_attempt(run.run_id, node="n", resumed_from=None, token=run.run_id)
        core.end_attempt(self.completed.run_id, attempt=1, outcome=AttemptOutcome.COMPLETED, reason=None)
        core.runs.pause(self.paused.run_id)

    def add(self, member: int) -> Run:
        keys = {"hyperparameters": {"learning_rate": 1e-3}, "seed": 1}
        return self.core.executions.add_run(self.execution.execution_id, driver=DRIVER, member=member, **keys)


@pytest.fixture
def sweep(core: Orchestrator, submission_of) -> Sweep:
    return Sweep(core, submission_of)


def shown(standing) -> tuple[ExecutionState, list[tuple[RunState, Intent]]]:
    _, execution, runs = standing
    return execution.state, [(run.state, run.intent) for run in runs]


def test_a_stop_ends_what_waits_and_asks_for_the_end_of_what_runs(core, sweep) -> None:
    assert shown(core.experiments.stop("x")) == (
        ExecutionState.STOPPED,
        [
            (RunState.STOPPED, Intent.NONE),
            (RunState.STARTING, Intent.STOP),
            (RunState.STOPPED, Intent.NONE),
            (RunState.COMPLETED, Intent.NONE),
        ],
    )
    assert core.executions.to_drive(sweep.execution.experiment_id, driver=DRIVER) == []


def test_a_stop_now_waits_for_no_boundary(core, sweep) -> None:
    _, runs = shown(core.experiments.stop("x", now=True))
    assert runs[1] == (RunState.STARTING, Intent.STOP_NOW)


def test_a_pause_holds_the_plugin_and_its_runs_and_a_resume_lets_them_go_on(core, drivers, sweep) -> None:
    assert shown(core.experiments.pause("x")) == (
        ExecutionState.PAUSED,
        [
            (RunState.PAUSED, Intent.NONE),
            (RunState.STARTING, Intent.PAUSE),
            (RunState.PAUSED, Intent.NONE),
            (RunState.COMPLETED, Intent.NONE),
        ],
    )
    drivers.asked.clear()
    assert shown(core.experiments.resume("x")) == (
        ExecutionState.RUNNING,
        [
            (RunState.QUEUED, Intent.NONE),
            (RunState.STARTING, Intent.NONE),
            (RunState.QUEUED, Intent.NONE),
            (RunState.COMPLETED, Intent.NONE),
        ],
    )
    assert set(drivers.asked) == {sweep.execution.experiment_id}


def test_each_may_be_said_twice(core, sweep) -> None:
    for steer in (core.experiments.pause, core.experiments.resume, core.experiments.stop):
        assert shown(steer("x")) == shown(steer("x"))


def test_what_was_stopped_does_not_go_on(core, sweep) -> None:
    core.experiments.stop("x")
    assert shown(core.experiments.resume("x"))[0] is ExecutionState.STOPPED
    assert shown(core.experiments.pause("x"))[0] is ExecutionState.STOPPED


def test_an_experiment_without_a_plugin_is_steered_too(core, submission_of) -> None:
    run = core.start(submission_of()).run
    experiment, execution, runs = core.experiments.pause("x")
    assert (experiment.name, execution, [each.run_id for each in runs]) == ("x", None, [run.run_id])
    assert core.experiments.resume("x")[2][0].state is RunState.QUEUED


@pytest.mark.parametrize("steer", ["stop", "pause", "resume"])
def test_an_unknown_experiment_is_named_with_the_nearest(core, sweep, steer: str) -> None:
    with pytest.raises(NotFound, match="xx"):
        getattr(core.experiments, steer)("xx")
