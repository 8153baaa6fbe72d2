from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from unit.scheduling.studies import Engine, Orchestrator, milestone

from arena_ray.model.states import RunState
from arena_ray.scheduling.arena_scheduler import ArenaScheduler
from arena_ray.scheduling.in_place import MilestoneScheduler
from arena_ray.scheduling.trainable import MILESTONE, OUTCOME


class Controller:
    """What a scheduler sees of the controller: its trials, and the order to pause one."""

    def __init__(self, **statuses: str) -> None:
        self.trials = [SimpleNamespace(trial_id=name, status=status) for name, status in statuses.items()]
        self.paused: list[tuple[str, bool]] = []

    def get_trials(self) -> list[SimpleNamespace]:
        return self.trials

    def pause_trial(self, trial: SimpleNamespace, should_checkpoint: bool = True) -> None:
        self.paused.append((trial.trial_id, should_checkpoint))
        trial.status = Trial.PAUSED


@pytest.fixture
def scheduler() -> ArenaScheduler:
    return ArenaScheduler()


def test_a_run_that_was_paused_is_taken_off_its_actor_without_a_checkpoint_of_tune_s(scheduler) -> None:
    controller = Controller(a=Trial.RUNNING)
    [trial] = controller.trials
    decision = scheduler.on_trial_result(controller, trial, {OUTCOME: RunState.PAUSED.value})
    assert decision == TrialScheduler.NOOP
    assert controller.paused == [("a", False)]
    assert scheduler.is_held(trial)


def test_a_held_trial_is_not_chosen_until_it_is_released(scheduler) -> None:
    controller = Controller(a=Trial.RUNNING)
    [trial] = controller.trials
    scheduler.on_trial_result(controller, trial, {OUTCOME: RunState.PAUSED.value})
    assert scheduler.choose_trial_to_run(controller) is None
    scheduler.release(trial)
    assert scheduler.choose_trial_to_run(controller) is trial


def test_other_trials_are_chosen_past_a_held_one(scheduler) -> None:
    controller = Controller(a=Trial.RUNNING, b=Trial.PENDING)
    scheduler.on_trial_result(controller, controller.trials[0], {OUTCOME: RunState.PAUSED.value})
    assert scheduler.choose_trial_to_run(controller).trial_id == "b"


@pytest.mark.parametrize("result", [{}, {OUTCOME: RunState.COMPLETED.value}])
def test_everything_else_is_for_the_scheduler_of_the_trial(result) -> None:
    class Stopping(FIFOScheduler):
        def on_trial_result(self, tune_controller, trial, result):
            return TrialScheduler.STOP

    controller = Controller(a=Trial.RUNNING)
    scheduler = ArenaScheduler()
    scheduler.assign("a", Stopping())
    decision = scheduler.on_trial_result(controller, controller.trials[0], result)
    assert decision == TrialScheduler.STOP
    assert controller.paused == []


class Told(MilestoneScheduler):
    """Keeps what it is told, and takes every run off its actor that holds."""

    def __init__(self) -> None:
        super().__init__(Engine(Orchestrator()))
        self.told: list[tuple[str, object]] = []

    def on_milestone(self, reached) -> bool:
        self.told.append((reached.run_id, reached.number))
        return True

    def on_end(self, run_id, outcome) -> None:
        self.told.append((run_id, outcome))

    def on_pause(self, run_id) -> None:
        self.told.append((run_id, "pause"))

    def on_release(self, run_id) -> None:
        self.told.append((run_id, "release"))

    def progress_of(self, run_id) -> tuple[bool, int, int]:
        return (run_id == "waits", 0, ord(run_id[0]))


@pytest.fixture
def told(scheduler) -> Told:
    told = Told()
    for run_id in ("a", "b", "waits"):
        scheduler.assign(run_id, told)
    return told


def test_a_scheduler_of_milestones_hears_of_pause_and_release(scheduler, told) -> None:
    controller = Controller(a=Trial.RUNNING)
    scheduler.on_trial_result(controller, controller.trials[0], {OUTCOME: RunState.PAUSED.value})
    scheduler.release(controller.trials[0])
    assert told.told == [("a", "pause"), ("a", "release")]


def test_it_hears_of_milestones_and_takes_runs_off_their_actors(scheduler, told) -> None:
    controller = Controller(a=Trial.RUNNING)
    decision = scheduler.on_trial_result(controller, controller.trials[0], {MILESTONE: milestone("a", 3, 1.0)})
    assert (decision, told.told) == (TrialScheduler.NOOP, [("a", 3)])


@pytest.mark.parametrize("outcome", [RunState.COMPLETED, RunState.STOPPED, RunState.FAILED])
def test_it_hears_how_a_run_ended(scheduler, told, outcome: RunState) -> None:
    controller = Controller(a=Trial.RUNNING)
    scheduler.on_trial_complete(controller, controller.trials[0], {OUTCOME: outcome.value})
    assert told.told == [("a", outcome)]


def test_it_hears_of_a_trial_that_is_taken_out_before_it_had_an_actor_and_of_its_return(scheduler, told) -> None:
    controller = Controller(a=Trial.PENDING)
    scheduler.on_trial_remove(controller, controller.trials[0])
    scheduler.on_trial_add(controller, controller.trials[0])
    assert told.told == [("a", "pause"), ("a", "release")]


def test_the_run_that_is_furthest_behind_is_chosen_and_none_that_waits_for_others(scheduler, told) -> None:
    assert scheduler.choose_trial_to_run(Controller(waits=Trial.PAUSED)) is None
    assert scheduler.choose_trial_to_run(Controller(waits=Trial.PAUSED, b=Trial.PAUSED)).trial_id == "b"
    assert scheduler.choose_trial_to_run(Controller(b=Trial.PAUSED, a=Trial.PENDING)).trial_id == "a"
    assert scheduler.choose_trial_to_run(Controller(b=Trial.PAUSED, a=Trial.RUNNING)).trial_id == "b"


def test_one_scheduler_that_has_nobody_keeps_no_other_from_choosing(scheduler, told) -> None:
    controller = Controller(waits=Trial.PAUSED, plain=Trial.PENDING)
    assert scheduler.choose_trial_to_run(controller).trial_id == "plain"
    assert scheduler.debug_string() == "Told"


def test_an_idle_actor_is_for_a_trial_for_which_none_starts() -> None:
    scheduler = ArenaScheduler()
    controller = Controller(starts=Trial.PENDING, waits=Trial.PENDING)
    assert scheduler.choose_trial_to_run(controller).trial_id == "starts"
    scheduler.is_coming_up = lambda trial: trial.trial_id == "starts"
    assert scheduler.choose_trial_to_run(controller).trial_id == "waits"
    controller = Controller(starts=Trial.PENDING)
    assert scheduler.choose_trial_to_run(controller).trial_id == "starts"
