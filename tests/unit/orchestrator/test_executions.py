"""What drivers and run actors are told of plugin executions."""

from __future__ import annotations

import math

import pytest

from arena_ray.model.errors import NotFound, SpecError, StaleAttempt, StaleDriver
from arena_ray.model.events import AttemptStarted, Batch, CheckpointSaved, EpisodeSummary, TrainingStep
from arena_ray.model.records import Run
from arena_ray.model.states import AttemptOutcome, ExecutionState, Intent, RunState
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.orchestrator.reader import RegistryReader

PLUGIN = {
    "name": "pbt",
    "settings": {"perturbation_interval": 1000, "param_space": {"learning_rate": {"loguniform": [1e-4, 1e-2]}}},
}
DRIVER = "d"


class World:
    def __init__(self, core: Orchestrator, submission_of) -> None:
        self.core = core
        spec = {"hyperparameters": {"gamma": 0.9}, "flags": {"total_timesteps": 5000}, "plugin": PLUGIN, "seed": 3}
        self.execution = core.start(submission_of(**spec)).execution
        core.claim_experiment(self.execution.experiment_id, driver=DRIVER)

    def add(self, member: int = 0, *, driver: str = DRIVER, **hyperparameters: float) -> Run:
        keys = {"hyperparameters": hyperparameters or {"learning_rate": 1e-3}, "seed": 3 + member}
        return self.core.executions.add_run(self.execution.execution_id, driver=driver, member=member, **keys)

    def begin(self, run: Run, token: str = "t") -> int:
        return self.core.begin_attempt(run.run_id, node="n", resumed_from=None, token=token).number

    def report(self, run: Run, *events, seq: int = 0, boundary: int = 5) -> None:
        self.core.report(Batch(run.run_id, 1, seq, (AttemptStarted(0, 0, 1.0), *events), boundary, boundary * 10))

    def reach(self, run: Run, *, place=(5, 0), attempt: int = 1, metric: str = "episodic_return"):
        keys = {"attempt": attempt, "number": 1, "place": place, "metric": metric}
        return self.core.executions.reach_milestone(run.run_id, **keys)


@pytest.fixture
def world(core: Orchestrator, submission_of) -> World:
    return World(core, submission_of)


def saved(boundary: int, generation: int = 0) -> CheckpointSaved:
    return CheckpointSaved(boundary, boundary * 10, f"/{boundary}/{generation}", "d", "p", 1, generation=generation)


def test_a_run_has_the_values_of_the_file_and_its_sample_on_top(core, world) -> None:
    run = world.add(1, learning_rate=2e-3)
    assignment = core.assignment(run.run_id)
    assert assignment.revision.flags == {
        "total_timesteps": 5000,
        "gamma": 0.9,
        "learning_rate": 2e-3,
        "cuda": False,  # no GPU is reserved
    }
    assert (run.member, run.seed, run.state) == (1, 4, RunState.QUEUED)
    assert run.hyperparameters == {"gamma": 0.9, "learning_rate": 2e-3}


def test_the_same_number_is_the_same_run(world) -> None:
    assert world.add(0) == world.add(0, learning_rate=5e-3)
    assert world.add(1).run_id != world.add(0).run_id


def test_a_sample_that_the_script_does_not_take_is_refused(world) -> None:
    with pytest.raises(SpecError, match="learning_rat"):
        world.add(0, learning_rat=1.0)


def test_only_the_newest_driver_adds_stops_ends_and_sees(core, world) -> None:
    run = world.add()
    core.claim_experiment(world.execution.experiment_id, driver="new")
    calls = [
        lambda: world.add(1),
        lambda: core.executions.stop_run(run.run_id, driver=DRIVER, reason="no"),
        lambda: core.executions.end(world.execution.execution_id, driver=DRIVER, state=ExecutionState.FAILED),
        lambda: core.executions.to_drive(world.execution.experiment_id, driver=DRIVER),
    ]
    for call in calls:
        with pytest.raises(StaleDriver):
            call()
    assert len(core.executions.record(world.execution.execution_id).runs) == 1


def test_its_steps_are_those_that_the_script_s_flag_tells(core, world) -> None:
    assert core.executions.total_steps(world.execution.execution_id) == 5000


def test_what_is_not_known_is_not_found(core) -> None:
    for call in (core.executions.record, core.executions.total_steps):
        with pytest.raises(NotFound):
            call("nothing")


def test_a_milestone_is_scored_by_the_returns_so_far(world) -> None:
    run = world.add()
    world.begin(run)
    world.report(run, EpisodeSummary(1, 10, 4.0, 1.0, 1.0), EpisodeSummary(2, 20, 6.0, 1.0, 1.0), saved(5))
    reached = world.reach(run)
    assert (reached.number, reached.boundary, reached.global_step, reached.score) == (1, 5, 50, 5.0)


def test_a_milestone_is_scored_by_the_newest_value_of_a_tag(world) -> None:
    run = world.add()
    world.begin(run)
    steps = [TrainingStep(at, at * 10, {"losses/value": float(at)}, 1.0) for at in (1, 2, 3)]
    world.report(run, *steps, saved(5))
    assert world.reach(run, metric="losses/value").score == 3.0


def test_a_milestone_of_a_run_that_has_logged_nothing_of_the_kind_is_not_measured(world) -> None:
    run = world.add()
    world.begin(run)
    world.report(run, saved(5))
    reached = world.reach(run, metric="losses/none")
    assert (math.isnan(reached.score), reached.is_measured) == (True, False)


def test_a_milestone_lies_at_the_checkpoint_that_was_written_there(core, world) -> None:
    run = world.add()
    world.begin(run)
    world.report(run, saved(5), saved(9), boundary=9)
    assert (world.reach(run).boundary, world.reach(run).generation) == (5, 0)
    for nowhere in ((7, 0), (5, 1)):
        with pytest.raises(NotFound, match=f"at boundary {nowhere[0]}"):
            world.reach(run, place=nowhere)


def test_a_stale_attempt_reaches_no_milestone(core, world) -> None:
    run = world.add()
    world.begin(run)
    world.report(run, saved(5))
    world.begin(run, "u")
    with pytest.raises(StaleAttempt):
        world.reach(run)
    assert core.executions.milestones_of(run) == ()


def test_a_checkpoint_of_a_milestone_outlives_the_policy(core, world) -> None:
    run = world.add()
    world.begin(run)
    world.report(run, saved(5))
    reached = world.reach(run)
    world.report(run, *(saved(boundary) for boundary in (6, 7, 8)), seq=2, boundary=8)
    kept = {each.checkpoint_id: each.boundary for each in core.assignment(run.run_id).checkpoints}
    assert sorted(kept.values()) == [5, 7, 8]
    assert reached.checkpoint_id in kept


def test_a_new_checkpoint_is_kept_though_damaged_ones_lie_ahead_of_it(core, world) -> None:
    run = world.add()
    world.begin(run)
    world.report(run, saved(8), saved(9), boundary=9)
    world.report(run, saved(5), seq=3)
    assert [each.boundary for each in core.assignment(run.run_id).checkpoints] == [9, 8, 5]


def test_a_scheduler_stops_a_run_with_its_reason(core, world) -> None:
    waiting, running = world.add(0), world.add(1)
    world.begin(running)
    for run in (waiting, running):
        core.executions.stop_run(run.run_id, driver=DRIVER, reason="others were better")
    assert core.assignment(waiting.run_id).run.state is RunState.STOPPED
    assert core.assignment(running.run_id).run.intent is Intent.STOP
    core.end_attempt(running.run_id, attempt=1, outcome=AttemptOutcome.STOPPED, reason=None)
    reasons = [run.reason for run in core.executions.record(world.execution.execution_id).runs]
    assert reasons == ["others were better"] * 2


def test_a_run_that_has_ended_is_stopped_by_no_scheduler(core, world) -> None:
    run = world.add()
    world.begin(run)
    core.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.COMPLETED, reason=None)
    core.executions.stop_run(run.run_id, driver=DRIVER, reason="late")
    assert core.assignment(run.run_id).run.state is RunState.COMPLETED


def test_an_end_that_comes_after_the_user_s_stop_changes_nothing(core, world) -> None:
    core.experiments.stop("x")
    core.executions.end(world.execution.execution_id, driver=DRIVER, state=ExecutionState.COMPLETED)
    assert core.executions.record(world.execution.execution_id).execution.state is ExecutionState.STOPPED


def test_final_scores_are_of_those_that_have_one(core, world) -> None:
    measured, other = world.add(0), world.add(1)
    world.begin(measured)
    world.report(measured, TrainingStep(1, 10, {"losses/value": 2.5}, 1.0))
    scores = core.executions.final_scores(world.execution.execution_id, metric="losses/value")
    assert scores == {measured.run_id: 2.5}
    assert other.run_id not in scores


def test_durations_are_those_of_all_attempts_of_a_run_and_none_of_one_that_waits(core, world, workspace) -> None:
    run, waiting = world.add(0), world.add(1)
    for token in ("first", "second"):
        number = world.begin(run, token)
        outcome = AttemptOutcome.COMPLETED if token == "second" else AttemptOutcome.LOST
        core.end_attempt(run.run_id, attempt=number, outcome=outcome, reason=None)
    with RegistryReader(workspace) as reader:
        took = [(one.ended_at - one.started_at).total_seconds() for one in reader.attempts(run.run_id)]
    durations = core.executions.durations(world.execution.execution_id)
    assert durations == {run.run_id: sum(took), waiting.run_id: 0}
    assert len(took) == 2
