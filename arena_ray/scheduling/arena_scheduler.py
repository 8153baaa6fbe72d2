"""Lays the user's pauses over whatever Tune scheduler an experiment runs under."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from arena_ray.model.states import RunState
from arena_ray.scheduling.trainable import OUTCOME


class _WithoutHeld:
    """The controller as the inner scheduler sees it when it chooses: without the trials that the user holds."""

    def __init__(self, controller: Any, held: set[str]) -> None:
        self._controller = controller
        self._held = held

    def get_trials(self) -> list[Trial]:
        return [trial for trial in self._controller.get_trials() if trial.trial_id not in self._held]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._controller, name)


class ArenaScheduler(TrialScheduler):
    """Wraps a Tune scheduler. A run that the user paused gives its resources back and is not chosen until released."""

    def __init__(self, inner: TrialScheduler | None = None) -> None:
        super().__init__()
        self._inner = inner or FIFOScheduler()
        self._held: set[str] = set()

    def is_held(self, trial: Trial) -> bool:
        """Whether the user has paused the trial's run."""
        return trial.trial_id in self._held

    def release(self, trial: Trial) -> None:
        """Let a paused trial be chosen again."""
        self._held.discard(trial.trial_id)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Pause where the run was paused; else ask the inner scheduler."""
        if result.get(OUTCOME) == RunState.PAUSED.value:
            self._held.add(trial.trial_id)
            # Its state is in our own checkpoint: Tune need not save one.
            tune_controller.pause_trial(trial, should_checkpoint=False)
            return str(TrialScheduler.NOOP)
        return str(self._inner.on_trial_result(tune_controller, trial, result))

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Ask the inner scheduler, with the held trials out of its sight."""
        return self._inner.choose_trial_to_run(_WithoutHeld(tune_controller, self._held))

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Pass on."""
        self._inner.on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Pass on."""
        self._inner.on_trial_error(tune_controller, trial)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Pass on."""
        self._inner.on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Forget the hold and pass on."""
        self._held.discard(trial.trial_id)
        self._inner.on_trial_remove(tune_controller, trial)

    def debug_string(self) -> str:
        """Return the inner scheduler's line."""
        return str(self._inner.debug_string())
