"""Population-based training for anyone's own ``tune.Tuner``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ray.tune.experiment import Trial
from ray.tune.result import DEFAULT_METRIC, TRAINING_ITERATION
from ray.tune.schedulers import TrialScheduler

from arena_ray.model.search_space import SearchSpace
from arena_ray.model.states import ExploitOutcome
from arena_ray.plugin.study import Explore, Mode
from arena_ray.scheduling.exploiter import Exploiter, PauseExploiter, Progress
from arena_ray.scheduling.pbt_journal import Journal, read_events
from arena_ray.scheduling.population import Rules, Takeover
from arena_ray.scheduling.trial_population import Arrival, Course, TrialPopulation
from arena_ray.scheduling.tune_space import search_space_of


@dataclass(frozen=True)
class _Order:
    """An exploit on its way."""

    takeover: Takeover
    deadline: float


class PopulationBasedTraining(TrialScheduler):
    """Jaderberg's population-based training, with trials compared at equal milestones only.

    At each milestone, the first result at or beyond a multiple of *perturbation_interval*, a trial saves a checkpoint
    and is judged by :class:`~arena_ray.scheduling.population.Population`. A trial that is to exploit another one is
    paused, and goes on with the donor's checkpoint and perturbed hyperparameters. Where more trials than slots exist,
    a trial gives way at a milestone to those that are behind it.

    The lineage is written to ``pbt_lineage.jsonl`` in the directory of the experiment; ``Tuner.restore`` goes on by it.

    Args:
        time_attr: What in a result tells how far a trial is.
        metric: What in a result is the score; None takes that of ``TuneConfig``.
        mode: ``max`` or ``min``; None takes that of ``TuneConfig``.
        perturbation_interval: Distance of milestones, in units of *time_attr*.
        param_space: What is tuned: a :class:`SearchSpace`, its plain data, or Tune's own domains.
        quantile_fraction: Share of the population at each end; at most 0.5.
        resample_probability: How likely a hyperparameter is drawn anew instead of moved.
        perturbation_factors: By one of them a hyperparameter is moved.
        min_gap: A trial nearer to the donor than this share of the donor's score is left alone: it is noise.
        synchronous: Whether all trials wait for each other at each milestone.
        explore: Whether hyperparameters are perturbed, or those with numbers proposed by PB2.
        seed: Of donors and hyperparameters.
        donor_timeout_s: How long a clone waits, paused, for the donor's checkpoint before it goes on with its own.
        exploiter: Carries exploits out; None does so by pause.
        clock: Monotonic seconds.

    Raises:
        ValueError: *perturbation_interval* or *quantile_fraction* is out of range, or *explore* unknown.
        SpecError: *param_space* says something else; one line for each mistake.
    """

    _supports_buffered_results = False

    def __init__(
        self,
        *,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: Mode | None = None,
        perturbation_interval: float,
        param_space: SearchSpace | Mapping[str, Any],
        quantile_fraction: float = 0.25,
        resample_probability: float = 0.25,
        perturbation_factors: tuple[float, float] = (1.2, 0.8),
        min_gap: float = 0.1,
        synchronous: bool = False,
        explore: Explore = "perturb",
        seed: int = 0,
        donor_timeout_s: float = 60.0,
        exploiter: Exploiter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        if perturbation_interval <= 0:
            raise ValueError(f"perturbation_interval is above 0 (got {perturbation_interval})")
        if not 0 <= quantile_fraction <= 0.5:
            raise ValueError(f"quantile_fraction is between 0 and 0.5 (got {quantile_fraction})")
        if explore not in get_args(Explore):
            raise ValueError(f"explore is one of {', '.join(get_args(Explore))} (got {explore!r})")
        self._time_attr = time_attr
        self._metric = metric
        self._mode = mode
        self._interval = perturbation_interval
        self._space = search_space_of(param_space)
        self._rules: dict[str, Any] = {
            "quantile_fraction": quantile_fraction,
            "resample_probability": resample_probability,
            "perturbation_factors": perturbation_factors,
            "min_gap": min_gap,
            "synchronous": synchronous,
            "explore": explore,
            "seed": seed,
        }
        self._donor_timeout_s = donor_timeout_s
        self._exploiter: Exploiter = exploiter or PauseExploiter(tuned=self._space.names)
        self._clock = clock
        self._journal = Journal()
        self._orders: dict[str, _Order] = {}
        self._trials: TrialPopulation | None = None

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Take metric and mode of ``TuneConfig``, unless they were given here."""
        if (self._metric and metric) or (self._mode and mode):
            return False
        self._metric = self._metric or metric or DEFAULT_METRIC
        self._mode = self._mode or mode  # type: ignore[assignment]
        return True

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Let a trial take part: a new one, one that failed and is tried again, or one of a restored experiment."""
        course = self._population().join(trial)
        course.reached = self._milestone_of_checkpoint(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Judge a trial at its milestones; let it go on, or pause it."""
        self._advance(tune_controller)
        if trial.status != Trial.RUNNING:  # a result from before it was paused
            return str(TrialScheduler.NOOP)
        arrival, course = self.arrival_of(result), self._population().courses[trial.trial_id]
        if arrival is None or arrival.milestone <= course.reached:
            return str(TrialScheduler.CONTINUE)
        saved = self._population().arrive(course, arrival)
        self._give_orders()
        self._carry_out(tune_controller, trial.trial_id)
        if trial.status == Trial.PAUSED:
            return str(TrialScheduler.NOOP)
        if self._is_held_back(trial) or self._must_give_way(tune_controller, course):
            self._exploiter.save_by_pause(saved)
            return str(TrialScheduler.PAUSE)
        self._exploiter.save(tune_controller, trial, saved, result=result)
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Keep a trial that has ended as a donor."""
        course = self._population().courses[trial.trial_id]
        arrival = self.arrival_of(result) if result else None
        if arrival is not None and arrival.milestone > course.reached:
            saved = self._population().arrive(course, arrival, is_end=True)
            saved.iteration = result.get(TRAINING_ITERATION)
            self._exploiter.save_by_pause(saved)  # what Tune saves at the end of a trial, if it does
        self._leave(trial, is_donor=True)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Count a trial that failed out; if Tune tries it again, it is added again."""
        self._leave(trial, is_donor=False)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Count a trial out that was stopped while it waited."""
        self._leave(trial, is_donor=False)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Choose the trial that is furthest behind, among those that need not wait for another one."""
        self._advance(tune_controller)
        return min(self._startable(tune_controller), key=self._population().progress_of, default=None)

    def debug_string(self) -> str:
        """Return what Tune prints of the scheduler."""
        applied = sum(exploit["outcome"] == ExploitOutcome.APPLIED for exploit in self.lineage())
        return f"PopulationBasedTraining: {applied} exploits"

    def lineage(self) -> list[dict[str, Any]]:
        """Return the exploits in the order they were decided: who took over whose weights where, and why."""
        return self._journal.lineage()

    def save(self, checkpoint_path: str) -> None:
        """Write the scheduler's state to a file."""
        self._journal.write_to(Path(checkpoint_path))

    def restore(self, checkpoint_path: str) -> None:
        """Take the state from such a file, before any trial is added."""
        self._journal = Journal(read_events(Path(checkpoint_path)))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_orders": {}, "_trials": None, "_journal": Journal(self._journal.events)}

    def arrival_of(self, result: Mapping[str, Any]) -> Arrival | None:
        """Return the milestone that a result reaches, and the score there; None where it tells none.

        Raises:
            ValueError: The result does not tell the time.
        """
        if self._time_attr not in result:
            raise ValueError(f"a result has no {self._time_attr!r}, the time_attr of PBT; it has {', '.join(result)}")
        milestone = int(result[self._time_attr] // self._interval)
        score = result.get(self._metric or DEFAULT_METRIC)
        return None if score is None or milestone < 1 else Arrival(milestone, float(score))

    def _population(self) -> TrialPopulation:
        if self._trials is None:
            if self._mode not in ("max", "min"):
                raise ValueError("PBT needs a mode, 'max' or 'min': give it one, or TuneConfig")
            rules = Rules(mode=self._mode, **self._rules)
            self._trials = TrialPopulation(rules, self._space, exploiter=self._exploiter, journal=self._journal)
        return self._trials

    def _advance(self, controller: Any) -> None:
        orders = [order.takeover.checkpoint for order in self._orders.values()]
        self._exploiter.advance(needed=[*self._population().still_needed(), *orders])
        self._give_orders()
        for trial_id in list(self._orders):
            self._carry_out(controller, trial_id)

    def _give_orders(self) -> None:
        for clone, takeover in self._population().decide():
            self._orders[clone] = _Order(takeover, self._clock() + self._donor_timeout_s)

    def _carry_out(self, controller: Any, trial_id: str) -> None:
        order = self._orders.get(trial_id)
        if order is None:
            return
        course, generation = self._population().courses[trial_id], order.takeover.generation
        progress = self._exploiter.exploit(controller, course.trial, order.takeover)
        if progress is Progress.WAITING and self._clock() <= order.deadline:
            return
        del self._orders[trial_id]
        if progress is Progress.APPLIED:
            self._population().settle(trial_id, generation, ExploitOutcome.APPLIED)
            course.reached = max(course.reached, self._milestone_of_checkpoint(course.trial))
            return
        late = f"the donor's checkpoint took longer than {self._donor_timeout_s:g} s"
        reason = late if progress is Progress.WAITING else "the donor's checkpoint there is gone"
        self._population().settle(trial_id, generation, ExploitOutcome.FAILED, reason)

    def _leave(self, trial: Trial, *, is_donor: bool) -> None:
        order = self._orders.pop(trial.trial_id, None)
        if order is not None:
            reason = "the trial had ended"
            self._population().settle(trial.trial_id, order.takeover.generation, ExploitOutcome.FAILED, reason)
        self._population().leave(trial, is_donor=is_donor)
        self._exploiter.advance(needed=self._population().still_needed())

    def _is_held_back(self, trial: Trial) -> bool:
        return trial.trial_id in self._orders or self._population().is_waiting(trial)

    def _startable(self, controller: Any) -> list[Trial]:
        trials = controller.get_trials()
        return [t for t in trials if t.status in (Trial.PENDING, Trial.PAUSED) and not self._is_held_back(t)]

    def _must_give_way(self, controller: Any, course: Course) -> bool:
        """Whether there is no room for a trial that waits, and is behind this one."""
        progress = self._population().progress_of
        behind = [trial for trial in self._startable(controller) if progress(trial)[0] < course.reached]
        if not behind:
            return False
        running = sum(trial.status == Trial.RUNNING for trial in controller.get_trials())
        return bool(len(behind) > self._exploiter.slots(course.trial) - running)

    def _milestone_of_checkpoint(self, trial: Trial) -> int:
        newest = trial.latest_checkpoint_result
        return int(newest.metrics.get(self._time_attr, 0) // self._interval) if newest is not None else 0
