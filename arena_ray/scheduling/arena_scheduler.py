"""Lays the user's pauses over whatever Tune schedulers an experiment runs under."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from arena_ray.model.states import RunState
from arena_ray.scheduling.in_place import MilestoneScheduler
from arena_ray.scheduling.trainable import OUTCOME
from arena_ray.scheduling.watch import See


class _Only:
    """The controller as one scheduler sees it: with the trials that are its own and that nobody holds."""

    def __init__(self, controller: Any, trials: list[Trial]) -> None:
        self._controller = controller
        self._trials = trials

    def get_trials(self) -> list[Trial]:
        return self._trials

    def __getattr__(self, name: str) -> Any:
        return getattr(self._controller, name)


class ArenaScheduler(TrialScheduler):
    """Asks for each trial the scheduler of its study, FIFO where it has none.

    A run that the user paused gives its resources back and is not chosen until it is released.
    """

    def __init__(self) -> None:
        super().__init__()
        self._plain = FIFOScheduler()
        self._schedulers: dict[str, TrialScheduler] = {}
        self._held: set[str] = set()
        self._watching: list[See] = []
        self.is_coming_up: Callable[[Trial], bool] = lambda trial: False
        """Whether an actor starts for the trial, while another one is idle: that one is to serve a trial without."""

    def watch(self, see: See) -> Callable[[], None]:
        """Call *see* with each result of each run, by its id; return what ends that."""
        self._watching.append(see)

        def end() -> None:
            with suppress(ValueError):
                self._watching.remove(see)

        return end

    def assign(self, trial_id: str, scheduler: TrialScheduler) -> None:
        """Let *scheduler* decide over the trial."""
        self._schedulers[trial_id] = scheduler

    def is_held(self, trial: Trial) -> bool:
        """Whether the user has paused the trial's run."""
        return trial.trial_id in self._held

    def release(self, trial: Trial) -> None:
        """Let a paused trial be chosen again."""
        self._held.discard(trial.trial_id)
        inner = self._of(trial)
        if isinstance(inner, MilestoneScheduler):
            inner.on_release(trial.trial_id)

    def _of(self, trial: Trial) -> TrialScheduler:
        return self._schedulers.get(trial.trial_id, self._plain)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Pause where the run was paused, leave alone what has ended; else ask the trial's scheduler."""
        for see in self._watching:
            if OUTCOME not in result:
                see(trial.trial_id, result)
        outcome = result.get(OUTCOME)
        inner = self._of(trial)
        if outcome == RunState.PAUSED.value:
            self._held.add(trial.trial_id)
            # Its state is in our own checkpoint: Tune need not save one.
            tune_controller.pause_trial(trial, should_checkpoint=False)
            if isinstance(inner, MilestoneScheduler):
                inner.on_pause(trial.trial_id)
            return str(TrialScheduler.NOOP)
        return str(inner.on_trial_result(tune_controller, trial, result))

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Ask one scheduler after the other, each for its own trials that nobody holds."""
        shares: dict[int, tuple[TrialScheduler, list[Trial]]] = {}
        for trial in sorted(tune_controller.get_trials(), key=self.is_coming_up):
            if trial.trial_id not in self._held:
                scheduler = self._of(trial)
                shares.setdefault(id(scheduler), (scheduler, []))[1].append(trial)
        chosen = (scheduler.choose_trial_to_run(_Only(tune_controller, own)) for scheduler, own in shares.values())
        return next((trial for trial in chosen if trial is not None), None)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Pass on."""
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Pass on."""
        self._of(trial).on_trial_error(tune_controller, trial)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Pass on."""
        self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Forget the hold and pass on."""
        self._held.discard(trial.trial_id)
        self._of(trial).on_trial_remove(tune_controller, trial)

    def debug_string(self) -> str:
        """Return a line about the schedulers."""
        return ", ".join(sorted({type(scheduler).__name__ for scheduler in self._schedulers.values()})) or "FIFO"
