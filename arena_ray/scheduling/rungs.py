"""Tune's asynchronous successive halving, asked where runs hold."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from arena_ray.model.records import Milestone
from arena_ray.plugin.study import Asha, Mode
from arena_ray.scheduling.execution_port import StudyRecord
from arena_ray.scheduling.in_place import Crew, MilestoneScheduler

_TIME, _SCORE = "milestone_steps", "milestone_score"
_WORST = sys.float_info.max / 4
"""Stands for what was not measured. Not infinite: between two infinities there is no percentile."""


def rungs(asha: Asha, *, total_steps: int) -> tuple[int, ...]:
    """Return the steps at which runs are judged."""
    found, step = [], asha.grace_period
    limit = min(asha.max_steps or total_steps, total_steps)
    while step < limit:
        found.append(step)
        step *= asha.reduction_factor
    return tuple(found)


class RungScheduler(MilestoneScheduler):
    """Stops the runs that successive halving would stop.

    Args:
        crew: The run actors.
        asha: The rule.
        steps: The rungs.
        mode: Whether more is better.
        stop: Asks for a run's end, with the reason.
    """

    def __init__(
        self, crew: Crew, asha: Asha, *, steps: tuple[int, ...], mode: Mode, stop: Callable[[str, str], None]
    ) -> None:
        super().__init__(crew)
        self._steps = steps
        self._stop = stop
        self._worst = -_WORST if mode == "max" else _WORST
        self._halving: Any = AsyncHyperBandScheduler(
            time_attr=_TIME,
            metric=_SCORE,
            mode=mode,
            max_t=(steps[-1] if steps else asha.grace_period) * asha.reduction_factor,
            grace_period=asha.grace_period,
            reduction_factor=asha.reduction_factor,
        )
        self._known: dict[str, Any] = {}
        self._verdicts: dict[tuple[str, int], bool] = {}

    def recall(self, record: StudyRecord) -> None:
        """Take in all that has happened before this driver; what was to be stopped and was not, is stopped now."""
        ended = {run.run_id for run in record.runs if run.state.is_final}
        for milestone in record.milestones:
            if not self._passes(milestone) and milestone.run_id not in ended:
                self._end(milestone)

    def on_milestone(self, milestone: Milestone) -> bool:
        """Let the run go on, or ask for its end: it holds until that reaches it."""
        if self._passes(milestone):
            self._crew.decide(milestone.run_id, None)
        else:
            self._end(milestone)
        return False

    def _passes(self, milestone: Milestone) -> bool:
        """Return whether the run may go on from there. Asked again while it holds, the halving would let anybody go."""
        key = (milestone.run_id, milestone.number)
        if key not in self._verdicts:
            self._verdicts[key] = self._judge(milestone)
        return self._verdicts[key]

    def _judge(self, milestone: Milestone) -> bool:
        trial = self._known.get(milestone.run_id)
        if trial is None:
            trial = self._known[milestone.run_id] = SimpleNamespace(trial_id=milestone.run_id, last_result={})
            self._halving.on_trial_add(None, trial)
        score = milestone.score if math.isfinite(milestone.score) else self._worst
        result = {_TIME: self._steps[milestone.number - 1], _SCORE: score}
        return bool(self._halving.on_trial_result(None, trial, result) != TrialScheduler.STOP)

    def _end(self, milestone: Milestone) -> None:
        where = f"{milestone.global_step:,}"
        self._stop(milestone.run_id, f"stopped by successive halving at step {where}: others were better there")
