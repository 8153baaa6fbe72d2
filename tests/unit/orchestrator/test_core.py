from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from arena_ray.model.errors import IllegalTransition, InfeasibleResources, StaleAttempt, StaleDriver, UnknownEnvironment
from arena_ray.model.events import AttemptStarted, Batch, CheckpointSaved, EpisodeSummary, TrainingStep
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.model.states import AttemptOutcome, Intent, RunState
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.runner.preflight import Submission

SubmissionOf = Callable[..., Submission]


@pytest.fixture
def run(core: Orchestrator, submission_of: SubmissionOf) -> Run:
    return core.start(submission_of(checkpoint={"keep_best": 1, "keep_latest": 2})).run


def begin(core: Orchestrator, run: Run, token: str = "t") -> int:
    return core.begin_attempt(run.run_id, node="n", resumed_from=None, token=token).number


def state_of(core: Orchestrator, run: Run) -> RunState:
    return core.assignment(run.run_id).run.state


def report(core: Orchestrator, run: Run, *events, attempt: int = 1, first_seq: int = 0, boundary: int = 1):
    return core.report(Batch(run.run_id, attempt, first_seq, events, boundary=boundary, global_step=boundary * 10))


def saved(workspace: Workspace, boundary: int) -> CheckpointSaved:
    path = workspace.training / "checkpoints" / "c" / str(boundary)
    path.mkdir(parents=True)
    return CheckpointSaved(boundary, boundary * 10, str(path), "d", "p", 1)


def episode(boundary: int, value: float) -> EpisodeSummary:
    return EpisodeSummary(boundary, boundary * 10, value, 1.0, 1.0)


class TestSubmitting:
    def test_a_run_is_queued_and_its_experiment_gets_a_driver(self, core, drivers, submission_of) -> None:
        started = core.start(submission_of())
        run = started.run
        assert (run.state, started.created) == (RunState.QUEUED, True)
        assert drivers.asked == [run.experiment_id]
        assert [todo.run_id for todo in core.runs_to_drive(run.experiment_id, driver="d")] == [run.run_id]

    def test_the_same_request_twice_makes_one_run(self, core, submission_of) -> None:
        first = core.start(submission_of(), force_new=True, request_id="r")
        second = core.start(submission_of(), force_new=True, request_id="r")
        third = core.start(submission_of(), force_new=True, request_id="other")
        assert first == second
        assert third.run.run_id != first.run.run_id

    def test_an_unfinished_run_goes_on(self, core, submission_of, run) -> None:
        again = core.start(submission_of(checkpoint={"keep_best": 1, "keep_latest": 2}))
        assert (again.run.run_id, again.created) == (run.run_id, False)

    def test_what_no_node_can_take_leaves_nothing_behind(self, core, submission_of) -> None:
        with pytest.raises(InfeasibleResources):
            core.start(submission_of(resources={"gpu": 2}))
        assert core.runs_to_drive("x", driver="d") == []

    def test_an_unknown_environment_leaves_nothing_behind(self, core, workspace, submission_of) -> None:
        with pytest.raises(UnknownEnvironment, match="CartPole-v1"):
            core.start(submission_of(env_id="CartPoel-v1"))
        assert not workspace.bundles.exists()

    def test_the_script_of_a_revision_stays_as_it_was(self, core, submission_of, run) -> None:
        bundle = core.assignment(run.run_id).bundle
        assert bundle == submission_of().bundle


class TestAttempts:
    def test_a_repeated_begin_is_one_attempt(self, core, run) -> None:
        assert begin(core, run, "t") == begin(core, run, "t") == 1
        assert begin(core, run, "u") == 2

    def test_a_stale_attempt_can_neither_report_nor_end(self, core, run) -> None:
        begin(core, run, "old")
        begin(core, run, "new")
        with pytest.raises(StaleAttempt):
            report(core, run, TrainingStep(1, 1, {"a": 1.0}, 1.0), attempt=1)
        with pytest.raises(StaleAttempt):
            core.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.COMPLETED, reason=None)
        assert core.recent_metrics(run.run_id, 10) == {}

    def test_a_lost_attempt_puts_the_run_back_into_the_queue(self, core, run) -> None:
        begin(core, run)
        state = core.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.LOST, reason="killed by SIGKILL")
        assert state is RunState.QUEUED

    def test_attempts_lost_in_a_row_without_progress_fail_the_run(self, core, run) -> None:
        states = []
        for number in (1, 2, 3):
            begin(core, run, str(number))
            states.append(core.end_attempt(run.run_id, attempt=number, outcome=AttemptOutcome.LOST, reason="killed"))
        assert states == [RunState.QUEUED, RunState.QUEUED, RunState.FAILED]

    def test_attempts_of_which_nobody_told_the_end_count_as_lost(self, core, run) -> None:
        for number in (1, 2, 3):
            assert begin(core, run, str(number)) == number
        with pytest.raises(IllegalTransition):
            begin(core, run, "4")
        now = core.assignment(run.run_id).run
        assert (now.state, now.attempt) == (RunState.FAILED, 3)
        assert now.reason == (
            "3 attempts in a row were lost without progress, the last one: "
            "nobody told how it ended: its actor, driver or node died"
        )

    def test_a_stop_takes_effect_between_two_attempts(self, core, run) -> None:
        begin(core, run, "1")
        core.runs.stop(run.run_id)
        with pytest.raises(IllegalTransition):
            begin(core, run, "2")
        assert state_of(core, run) is RunState.STOPPED

    def test_an_end_that_was_half_written_down_stands(self, core, run) -> None:
        begin(core, run, "1")
        core._store.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.COMPLETED)
        with pytest.raises(IllegalTransition):
            begin(core, run, "2")
        assert state_of(core, run) is RunState.COMPLETED

    def test_a_stop_wins_over_a_pause_that_takes_effect(self, core, run) -> None:
        begin(core, run)
        core.runs.pause(run.run_id)
        core.runs.stop(run.run_id)
        assert core.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.PAUSED, reason=None) is RunState.STOPPED

    def test_a_run_that_is_resumed_before_it_has_paused_goes_on(self, core, run) -> None:
        begin(core, run)
        core.runs.pause(run.run_id)
        core.runs.resume(run.run_id)
        assert core.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.PAUSED, reason=None) is RunState.QUEUED

    @pytest.mark.parametrize(
        ("outcome", "state"),
        [
            (AttemptOutcome.COMPLETED, RunState.COMPLETED),
            (AttemptOutcome.FAILED, RunState.FAILED),
            (AttemptOutcome.STOPPED, RunState.STOPPED),
            (AttemptOutcome.PAUSED, RunState.PAUSED),
        ],
    )
    def test_an_outcome_becomes_the_state_of_the_run(self, core, run, outcome, state) -> None:
        begin(core, run)
        core.runs.pause(run.run_id)
        assert core.end_attempt(run.run_id, attempt=1, outcome=outcome, reason="why") is state
        assert core.assignment(run.run_id).run.reason == "why"

    def test_a_run_that_could_not_even_begin_fails_with_its_reason(self, core, run) -> None:
        core.end_attempt(run.run_id, attempt=0, outcome=AttemptOutcome.FAILED, reason="no disk")
        assert state_of(core, run) is RunState.FAILED

    def test_what_is_under_way_when_the_cluster_is_taken_down_is_queued_for_the_next_one(self, core, run) -> None:
        begin(core, run)
        core.release_runs()
        assert state_of(core, run) is RunState.QUEUED
        assert core.assignment(run.run_id).run.reason == "its cluster was taken down"
        [attempt] = core._store.list_attempts(run.run_id)
        assert attempt.outcome is AttemptOutcome.PREEMPTED, "else the time until the next cluster would count as used"

    def test_only_the_newest_driver_of_an_experiment_is_told_what_to_drive(self, core, open_core, run) -> None:
        core.claim_experiment(run.experiment_id, driver="old")
        core.claim_experiment(run.experiment_id, driver="new")
        assert core.runs_to_drive(run.experiment_id, driver="new")
        with pytest.raises(StaleDriver):
            core.runs_to_drive(run.experiment_id, driver="old")
        assert open_core().runs_to_drive(run.experiment_id, driver="old"), (
            "a new orchestrator believes the first to ask"
        )

    def test_a_retired_orchestrator_starts_no_driver(self, core, drivers, run) -> None:
        drivers.asked.clear()
        core.retire()
        core.ensure_drivers()
        assert drivers.asked == []

    def test_a_new_orchestrator_goes_on_with_what_the_registry_says(self, core, open_core, run) -> None:
        begin(core, run)
        report(core, run, AttemptStarted(0, 0, 1.0), episode(1, 7.0))
        successor = open_core()
        answer = report(successor, run, episode(2, 9.0), first_seq=2)
        assert answer.episodic_return == 8.0
        assert [todo.run_id for todo in successor.runs_to_drive(run.experiment_id, driver="d")] == [run.run_id]

    @pytest.mark.parametrize("values", [(math.inf, -math.inf), (1e308, 1e308)], ids=str)
    def test_returns_without_a_mean_have_none(self, core, run, values) -> None:
        begin(core, run)
        assert math.isnan(report(core, run, *(episode(1, value) for value in values)).episodic_return)


class TestSteering:
    def test_a_queued_run_is_stopped_at_once(self, core, run) -> None:
        assert core.runs.stop(run.name)[0].state is RunState.STOPPED
        assert core.runs_to_drive(run.experiment_id, driver="d") == []

    def test_a_running_run_is_told_with_its_next_report(self, core, run) -> None:
        begin(core, run)
        assert report(core, run).intent is Intent.NONE
        core.runs.stop(run.run_id)
        assert report(core, run).intent is Intent.STOP

    def test_stop_now_names_the_work_that_is_lost(self, core, workspace, run) -> None:
        begin(core, run)
        report(core, run, AttemptStarted(0, 0, 1.0), saved(workspace, 2), boundary=7)
        _, lost = core.runs.stop(run.run_id, now=True)
        assert lost is not None
        assert "steps 20 to 70" in lost
        assert report(core, run, first_seq=2).intent is Intent.STOP_NOW

    def test_a_paused_run_is_not_driven_and_is_driven_again_when_resumed(self, core, drivers, run) -> None:
        core.runs.pause(run.run_id)
        assert core.runs_to_drive(run.experiment_id, driver="d") == []
        drivers.asked.clear()
        assert core.runs.resume(run.run_id).state is RunState.QUEUED
        assert drivers.asked == [run.experiment_id]

    def test_a_pause_can_be_taken_back_before_it_takes_effect(self, core, run) -> None:
        begin(core, run)
        core.runs.pause(run.run_id)
        core.runs.resume(run.run_id)
        assert report(core, run).intent is Intent.NONE

    def test_a_run_lost_while_it_was_being_stopped_is_stopped(self, core, run) -> None:
        begin(core, run)
        report(core, run)
        core.runs.stop(run.run_id)
        assert core.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.LOST, reason="k") is RunState.STOPPED

    def test_what_has_ended_cannot_be_stopped_paused_or_resumed(self, core, run) -> None:
        core.runs.stop(run.run_id)
        for steer in (core.runs.stop, core.runs.pause, core.runs.resume):
            with pytest.raises(IllegalTransition):
                steer(run.run_id)


class TestCheckpoints:
    def test_a_checkpoint_reported_twice_is_registered_once(self, core, workspace, run) -> None:
        begin(core, run)
        event = saved(workspace, 3)
        for _ in range(2):
            report(core, run, AttemptStarted(0, 0, 1.0), event)
        assert [checkpoint.uri for checkpoint in core.assignment(run.run_id).checkpoints] == [event.uri]

    def test_the_latest_and_the_best_are_kept_and_the_others_deleted(self, core, workspace, run) -> None:
        begin(core, run)
        seq = 0
        for boundary, value in enumerate([1.0, 9.0, 2.0, 3.0, 4.0], start=1):
            events = (
                episode(boundary - 1, value) if boundary > 1 else AttemptStarted(0, 0, 1.0),
                saved(workspace, boundary),
            )
            report(core, run, *events, first_seq=seq, boundary=boundary)
            seq += 2
        kept = {checkpoint.boundary for checkpoint in core.assignment(run.run_id).checkpoints}
        on_disk = {int(path.name) for path in (workspace.training / "checkpoints" / "c").iterdir()}
        assert kept == on_disk == {2, 4, 5}

    def test_the_first_of_each_so_many_steps_is_kept(self, core, workspace, submission_of) -> None:
        policy = {"keep_best": 0, "keep_latest": 1, "keep_every": 100}
        run = core.start(submission_of(checkpoint=policy)).run
        begin(core, run)
        report(core, run, AttemptStarted(0, 0, 1.0))
        for seq, boundary in enumerate([3, 8, 11, 14, 19, 20, 25, 41, 42, 43], start=1):  # of ten steps each
            report(core, run, saved(workspace, boundary), first_seq=seq, boundary=boundary)
        assert [checkpoint.boundary for checkpoint in core.assignment(run.run_id).checkpoints] == [43, 41, 20, 11]

    def test_the_export_names_run_agent_environment_checkpoint_and_metrics(self, core, workspace, run) -> None:
        begin(core, run)
        event = saved(workspace, 3)
        report(core, run, AttemptStarted(0, 0, 1.0), TrainingStep(1, 1, {"a": 1.0}, 1.0), event)
        [row] = map(json.loads, workspace.runs_export.read_text().splitlines())
        assert (row["run_id"], row["agent"], row["env"]) == (run.run_id, "ppo", "CartPole-v1")
        assert Path(row["checkpoint_uri"]) == Path(event.uri)
        assert len(row["metrics_digest"]) == 64
