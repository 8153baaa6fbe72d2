"""Our own loop over Ray Tune's controller. Everything that touches Tune's private names is in this module.

``Tuner.fit`` polls its search algorithm with a second's sleep, during which it handles no stop, and cannot take trials
later on; the controller itself can (``add_trial``: "trials may be added at any time").
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Experiment, Trial
from ray.tune.search import SearchAlgorithm

from arena_ray.model.spec import Resources
from arena_ray.scheduling.arena_scheduler import ArenaScheduler
from arena_ray.scheduling.trainable import RunTrainable

TRAINABLE_NAME = "arena_run"
GIB = 1 << 30
EVENT_TIMEOUT_S = 0.1
_ENDED = (Trial.TERMINATED, Trial.ERROR)
_FOREVER = -1
"""Tune retries a trial whose actor died without limit; the registry counts the attempts and ends the run."""

TUNE_ENVIRONMENT = {
    "TUNE_MAX_PENDING_TRIALS_PG": "16",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


class _OpenEnded(SearchAlgorithm):
    """Suggests nothing and never finishes: trials come from the driver."""

    def next_trial(self) -> None:
        return None

    def add_configurations(self, experiments: Any) -> None:
        return None

    def is_finished(self) -> bool:
        return False

    def save_to_dir(self, dirpath: str, **kwargs: Any) -> None:
        return None


def placement(resources: Resources) -> tune.PlacementGroupFactory:
    """Return the one bundle in which a run actor and its training process live."""
    bundle = {"CPU": resources.cpu}
    if resources.gpu:
        bundle["GPU"] = resources.gpu
    if resources.memory_gib:
        bundle["memory"] = int(resources.memory_gib * GIB)
    return tune.PlacementGroupFactory([bundle])


class TuneEngine:
    """The trials of one experiment."""

    def __init__(self, controller: TuneController, *, storage: Any, scheduler: ArenaScheduler) -> None:
        self._controller = controller
        self._storage = storage
        self._scheduler = scheduler
        self._trials: dict[str, Trial] = {}

    @classmethod
    def open(cls, experiment: str, *, storage: Path, scheduler: ArenaScheduler) -> TuneEngine:
        """Make an engine whose book-keeping lies under *storage*; nothing there is ever read back."""
        os.environ.update(TUNE_ENVIRONMENT)
        tune.register_trainable(TRAINABLE_NAME, RunTrainable)
        tune_experiment = Experiment(experiment, TRAINABLE_NAME, storage_path=str(storage))
        controller = TuneController(search_alg=_OpenEnded(), scheduler=scheduler, storage=tune_experiment.storage)
        controller.setup_experiments([tune_experiment], 0)
        return cls(controller, storage=tune_experiment.storage, scheduler=scheduler)

    def add(self, run_id: str, *, name: str, resources: Resources) -> None:
        """Queue the run; Tune starts its actor as soon as its resources are free."""
        trial = Trial(
            TRAINABLE_NAME,
            config={"run_id": run_id, "name": name},
            trial_id=run_id,
            storage=self._storage,
            stopping_criterion={},
            experiment_tag=name,
            placement_group_factory=placement(resources),
            max_failures=_FOREVER,
        )
        self._trials[run_id] = trial
        self._controller.add_trial(trial)

    def has(self, run_id: str) -> bool:
        """Whether a trial of the run is queued, runs or is paused."""
        trial = self._trials.get(run_id)
        return trial is not None and trial.status not in _ENDED

    def is_waiting(self, run_id: str) -> bool:
        """Whether the run's trial has not been given an actor yet, or is paused."""
        return self.has(run_id) and self._trials[run_id].status in (Trial.PENDING, Trial.PAUSED)

    def is_held(self, run_id: str) -> bool:
        """Whether the run's trial is paused by the user."""
        return self.has(run_id) and self._scheduler.is_held(self._trials[run_id])

    def release(self, run_id: str) -> None:
        """Let a paused run go on."""
        self._scheduler.release(self._trials[run_id])

    def remove(self, run_id: str) -> None:
        """Take the run's trial out; an actor it may have is ended."""
        self._controller.stop_trial(self._trials.pop(run_id))

    def runs(self) -> list[str]:
        """Return the runs that have a trial which has not ended."""
        return [run_id for run_id in self._trials if self.has(run_id)]

    @property
    def is_busy(self) -> bool:
        """Whether :meth:`step` has something to do."""
        has_actors = self._controller._actor_manager.num_total_actors > 0
        return has_actors or any(not self.is_held(run_id) for run_id in self.runs())

    def step(self) -> None:
        """Handle one event: start an actor, take a result, retry a trial whose actor died. Waits 0.1 s at most."""
        if self.runs():
            self._controller.step()
        else:  # only actors that are being ended; the controller itself would now wait for a new trial, and block
            self._controller._actor_manager.next(timeout=EVENT_TIMEOUT_S)

    def close(self) -> None:
        """End all actors."""
        for run_id in list(self.runs()):
            self.remove(run_id)
        self._controller.cleanup()
