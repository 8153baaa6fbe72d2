"""Tune's controller as a scheduler sees it, without Ray: real trials, whose training is a line of arithmetic."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ray.train._internal.session import _FutureTrainingResult, _TrainingResult
from ray.train._internal.storage import StorageContext
from ray.tune import Checkpoint, CheckpointConfig
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from arena_ray.scheduling.exploiter import PauseExploiter


class FakeFuture(_FutureTrainingResult):
    """The save of a trial, on its way; counts how often someone would have been blocked by it."""

    def __init__(self) -> None:
        self.blocked = 0
        self.result: _TrainingResult | None = None

    def resolve(self, block: bool = True) -> _TrainingResult | None:
        self.blocked += block and self.result is None
        return self.result


class Roomy(PauseExploiter):
    """Knows the number of slots; there is no cluster to ask."""

    count = math.inf

    def slots(self, trial: Trial) -> float:
        return self.count


class Stage:
    """Trials ``t0``, ``t1``, … on *slots*; a step of a trial adds its rate to its weight, which is its score.

    Args:
        directory: Where the experiment lies.
        scheduler: Under test.
        configs: One for each trial.
        slots: How many run at once.
        stride: By how much ``ticks`` grows with a step.
        saves_at_once: Whether a save is done when it is ordered; else :meth:`finish_save` does it.
        num_to_keep: Checkpoints that a trial keeps.
        search_alg: Where the trials come from.
        name: Prefix of the trials' ids.
        restored: The experiment before it was interrupted.
    """

    def __init__(
        self,
        directory: Path,
        scheduler: Any,
        configs: list[dict[str, Any]],
        *,
        slots: int = 99,
        stride: int = 1,
        saves_at_once: bool = True,
        num_to_keep: int | None = None,
        search_alg: Any = None,
        name: str = "t",
        restored: Stage | None = None,
    ) -> None:
        self.directory, self.scheduler, self.slots, self.stride = directory, scheduler, slots, stride
        self.saves_at_once, self.search_alg = saves_at_once, search_alg
        self.trials = [self.trial(f"{name}{n}", config, num_to_keep) for n, config in enumerate(configs)]
        self.weights = {trial.trial_id: 0.0 for trial in self.trials}
        self.steps = {trial.trial_id: 0 for trial in self.trials}
        self.pauses: list[tuple[str, int]] = []
        self.decisions: dict[str, str] = {}
        self.futures: dict[str, FakeFuture] = {}
        self._saves = restored._saves if restored else 0
        for trial, old in zip(self.trials, restored.trials if restored else (), strict=False):
            trial.run_metadata = old.run_metadata
            trial.set_config(old.config)
            trial.set_experiment_tag(old.experiment_tag)
        scheduler.set_search_properties("score", "max")
        for trial in self.trials:
            scheduler.on_trial_add(self, trial)

    def trial(self, trial_id: str, config: dict[str, Any], num_to_keep: int | None) -> Trial:
        storage = StorageContext(str(self.directory), experiment_dir_name="x", trial_dir_name=trial_id)
        return Trial(
            "fake",
            stub=True,
            trial_id=trial_id,
            config=dict(config),
            storage=storage,
            experiment_tag=trial_id,
            checkpoint_config=CheckpointConfig(num_to_keep=num_to_keep),
        )

    # What schedulers call

    def get_trials(self) -> list[Trial]:
        return self.trials

    def get_live_trials(self) -> set[Trial]:
        """Those that were not stopped; Tune leaves those that failed among them."""
        return {trial for trial in self.trials if trial.status != Trial.TERMINATED}

    def pause_trial(self, trial: Trial, should_checkpoint: bool = True) -> None:
        self.pauses.append((trial.trial_id, self.steps[trial.trial_id]))
        if should_checkpoint:
            self._schedule_trial_save(trial)
            self.finish_save(trial)
        trial.set_status(Trial.PAUSED)

    def _schedule_trial_save(self, trial: Trial, result: dict[str, Any] | None = None) -> FakeFuture:
        trial.temporary_state.saving_to = self.futures[trial.trial_id] = FakeFuture()
        return self.futures[trial.trial_id]

    # What Tune does

    def finish_save(self, trial: Trial) -> None:
        """Write the checkpoint that was ordered, and carry out what was decided meanwhile."""
        self._saves += 1
        path = self.directory / "x" / trial.trial_id / f"checkpoint_{self._saves:06d}"
        path.mkdir(parents=True)
        (path / "weight").write_text(json.dumps(self.weights[trial.trial_id]))
        saved = _TrainingResult(Checkpoint(str(path)), self.result_of(trial))
        self.futures[trial.trial_id].result = saved
        trial.run_metadata.checkpoint_manager.register_checkpoint(saved)
        trial.temporary_state.saving_to = None
        if self.decisions.pop(trial.trial_id, None) == TrialScheduler.PAUSE:
            self.pause_trial(trial, should_checkpoint=False)

    def result_of(self, trial: Trial) -> dict[str, Any]:
        steps = self.steps[trial.trial_id]
        return {
            "training_iteration": steps,
            "ticks": steps * self.stride,
            "score": self.weights[trial.trial_id],
            "trial_id": trial.trial_id,
        }

    def start_trials(self) -> None:
        """Give slots to those that the scheduler chooses, restored from their checkpoints."""
        while sum(trial.status == Trial.RUNNING for trial in self.trials) < self.slots:
            trial = self.scheduler.choose_trial_to_run(self)
            if trial is None:
                return
            trial.set_status(Trial.RUNNING)
            newest = trial.latest_checkpoint_result
            if newest is not None:
                self.weights[trial.trial_id] = json.loads(Path(newest.checkpoint.path, "weight").read_text())
                self.steps[trial.trial_id] = newest.metrics["training_iteration"]

    def step(self, number: int, *, until: int | None = None) -> str:
        """Let one trial train for a step, and carry out what the scheduler decides; it ends at *until*."""
        trial = self.trials[number]
        assert trial.status == Trial.RUNNING, trial.status
        self.steps[trial.trial_id] += 1
        self.weights[trial.trial_id] += trial.config["rate"]
        result = self.result_of(trial)
        if until is not None and self.steps[trial.trial_id] >= until:
            self.complete(number)
            return str(TrialScheduler.STOP)
        decision = self.scheduler.on_trial_result(self, trial, result)
        trial.run_metadata.last_result = result
        if trial.is_saving and self.saves_at_once:
            self.finish_save(trial)
        if trial.is_saving:
            self.decisions[trial.trial_id] = decision
        elif decision == TrialScheduler.PAUSE and trial.status == Trial.RUNNING:
            if self.saves_at_once:
                self.pause_trial(trial)
            else:
                self._schedule_trial_save(trial)
                self.decisions[trial.trial_id] = decision
        return str(decision)

    def fail(self, number: int) -> None:
        trial = self.trials[number]
        self.scheduler.on_trial_error(self, trial)
        trial.set_status(Trial.ERROR)

    def complete(self, number: int) -> None:
        """End a trial, which saves a last checkpoint."""
        trial = self.trials[number]
        self._schedule_trial_save(trial)
        self.finish_save(trial)
        self.scheduler.on_trial_complete(self, trial, self.result_of(trial))
        trial.set_status(Trial.TERMINATED)

    def run(self, *, until: int) -> bool:
        """Let all trials train, in turn, up to this many steps; return whether they all got there."""
        while unfinished := [trial for trial in self.trials if not trial.is_finished()]:
            self.start_trials()
            running = [trial for trial in unfinished if trial.status == Trial.RUNNING and not trial.is_saving]
            if not running:
                return False
            for trial in running:
                if trial.status == Trial.RUNNING:
                    self.step(self.trials.index(trial), until=until)
        return True
