from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from arena_ray.model.states import RunState
from arena_ray.scheduling.arena_scheduler import ArenaScheduler
from arena_ray.scheduling.trainable import OUTCOME


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
