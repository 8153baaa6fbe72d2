"""Our own loop over Ray Tune's controller. Everything that touches Tune's private names is in this module.

``Tuner.fit`` polls its search algorithm with a second's sleep, during which it handles no stop, and cannot take trials
later on; the controller itself can (``add_trial``: "trials may be added at any time").
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Experiment, Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import SearchAlgorithm

from arena_ray.model.spec import Resources
from arena_ray.scheduling.arena_scheduler import ArenaScheduler
from arena_ray.scheduling.execution_port import ExploitOrder
from arena_ray.scheduling.milestones import Course
from arena_ray.scheduling.trainable import RunTrainable
from arena_ray.scheduling.watch import See

TRAINABLE_NAME = "arena_run"
GIB = 1 << 30
EVENT_TIMEOUT_S = 0.1
SPARE_ACTOR_S = 2.0
"""A run actor that has nothing to do waits so long for another run before its resources are given back."""
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


def _has(free: Mapping[str, float], needed: Mapping[str, float]) -> bool:
    return all(free.get(name, 0.0) >= amount for name, amount in needed.items())


class TuneEngine:
    """The trials of one experiment."""

    def __init__(self, controller: TuneController, *, storage: Any, scheduler: ArenaScheduler) -> None:
        self._controller = controller
        self._storage = storage
        self._scheduler = scheduler
        self._trials: dict[str, Trial] = {}
        self._spare_since: float | None = None
        scheduler.is_coming_up = self._is_coming_up

    @classmethod
    def open(cls, experiment: str, *, storage: Path, scheduler: ArenaScheduler) -> TuneEngine:
        """Make an engine whose book-keeping lies under *storage*; nothing there is ever read back."""
        os.environ.update(TUNE_ENVIRONMENT)
        tune.register_trainable(TRAINABLE_NAME, RunTrainable)
        tune_experiment = Experiment(experiment, TRAINABLE_NAME, storage_path=str(storage))
        controller = TuneController(
            search_alg=_OpenEnded(), scheduler=scheduler, storage=tune_experiment.storage, reuse_actors=True
        )
        controller.setup_experiments([tune_experiment], 0)
        return cls(controller, storage=tune_experiment.storage, scheduler=scheduler)

    def add(
        self,
        run_id: str,
        *,
        name: str,
        resources: Resources,
        scheduler: TrialScheduler | None = None,
        course: Course | None = None,
    ) -> None:
        """Queue the run; Tune starts its actor as soon as its resources are free.

        Args:
            run_id: The run.
            name: Its name, for people.
            resources: What it reserves.
            scheduler: Decides over it; FIFO where there is none.
            course: Where it holds for that.
        """
        trial = Trial(
            TRAINABLE_NAME,
            config={"run_id": run_id, "name": name, "course": course},
            trial_id=run_id,
            storage=self._storage,
            stopping_criterion={},
            experiment_tag=name,
            placement_group_factory=placement(resources),
            max_failures=_FOREVER,
        )
        self._trials[run_id] = trial
        if scheduler is not None:
            self._scheduler.assign(run_id, scheduler)
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

    def decide(self, run_id: str, order: ExploitOrder | None) -> None:
        """Let the run go on that holds; the call reaches its actor before its next step."""
        trial = self._trials[run_id]
        if trial in self._controller._trial_to_actor:  # else its actor has just died: the next one asks again
            # With its actor the call fails and the step behind it, but Tune tells of only one of the two.
            failed = self._controller._trial_task_failure
            self._controller._schedule_trial_task(trial, "decide", args=(order,), on_error=failed)

    def give_way(self, run_id: str) -> None:
        """Take the run that holds off its actor; it goes on from there when it is chosen again."""
        trial = self._trials[run_id]
        if trial in self._controller._trial_to_actor:
            self._controller._schedule_trial_task(trial, "leave")
            self._controller.pause_trial(trial, should_checkpoint=False)

    def is_short_of(self, run_id: str) -> bool:
        """Whether the run waits for resources that are not there."""
        if not self.is_waiting(run_id) or self.is_held(run_id):
            return False
        trial = self._trials[run_id]
        if self._has_placed_actor(trial):
            return False
        needed = trial.placement_group_factory.required_resources
        free = ray._private.state.available_resources_per_node()
        return not any(_has(node, needed) for node in free.values())

    def watch(self, see: See) -> Callable[[], None]:
        """Call *see* with each result of each run, by its id; return what ends that."""
        return self._scheduler.watch(see)

    def _has_placed_actor(self, trial: Trial) -> bool:
        """Whether the trial has an actor that serves it, or that starts for it."""
        actor = self._controller._trial_to_actor.get(trial)
        return actor is not None and actor in self._controller._actor_manager._live_actors_to_ray_actors_resources

    def _is_coming_up(self, trial: Trial) -> bool:
        # Tune gives an idle actor to any trial that waits, and ends the one that starts for that: the place goes to
        # another actor, which must start from the beginning, and so on.
        is_one_idle = self._controller._actor_cache.num_cached_objects > 0
        return is_one_idle and trial.status == Trial.PENDING and self._has_placed_actor(trial)

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
        self._give_back_spare_actors()

    def _give_back_spare_actors(self) -> None:
        """End the actors that were kept for another run and found none: other experiments may need their place."""
        if not self._controller._actor_cache.num_cached_objects:
            self._spare_since = None
        elif self._spare_since is None:
            self._spare_since = time.monotonic()
        elif time.monotonic() - self._spare_since > SPARE_ACTOR_S:
            self._controller._cleanup_cached_actors(force_all=True)

    def close(self) -> None:
        """End all actors."""
        for run_id in list(self.runs()):
            self.remove(run_id)
        self._controller.cleanup()
