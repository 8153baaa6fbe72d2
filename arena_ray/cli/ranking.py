"""Which run of a plugin execution is the best, and the leaderboard of all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from arena_ray.cli.output import ABSENT, figure
from arena_ray.model.states import RunState

if TYPE_CHECKING:
    from arena_ray.model.records import Execution, Lineage, Run

EPISODIC_RETURN = "episodic_return"


def setting(value: Any) -> str:
    """Return the value of a hyperparameter for people."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return figure(value)
    return str(value)


def label(run: Run) -> str:
    """Return the short name of a run among those of its execution."""
    return f"run {run.member}"


@dataclass(frozen=True)
class Ranking:
    """The runs of a plugin execution, compared by the execution's metric."""

    lineage: Lineage

    @property
    def execution(self) -> Execution:
        """The plugin execution; only lineages that have one are ranked."""
        if self.lineage.execution is None:
            raise LookupError(f"experiment {self.lineage.experiment} has no plugin execution")
        return self.lineage.execution

    @property
    def metric(self) -> str:
        """What the runs are compared by: ``episodic_return``, or a tag that the script logs."""
        return str(self.execution.settings.get("metric", EPISODIC_RETURN))

    @property
    def metric_name(self) -> str:
        """The same as people read it beside a number."""
        return "return" if self.metric == EPISODIC_RETURN else self.metric

    @cached_property
    def tuned(self) -> tuple[str, ...]:
        """Names of the hyperparameters that are tuned; those in which the runs differ where the plugin names none."""
        space = self.execution.settings.get("param_space")
        if isinstance(space, dict) and space:
            return tuple(space)
        runs = self.lineage.runs
        names = {name: None for run in runs for name in run.hyperparameters}
        return tuple(name for name in names if len({repr(run.hyperparameters.get(name)) for run in runs}) > 1)

    @cached_property
    def _scores(self) -> dict[str, float]:
        if self.metric == EPISODIC_RETURN:
            return {run.run_id: run.episodic_return for run in self.lineage.runs}
        return {each.run_id: each.score for each in self.lineage.milestones}  # the newest is the last

    def score(self, run: Run) -> float:
        """Return what *run* has reached: its mean return, or its score at its newest milestone. NaN for nothing."""
        return self._scores.get(run.run_id, math.nan)

    @cached_property
    def ranked(self) -> tuple[Run, ...]:
        """The runs, best first: those that have completed, then the others; without a score last."""
        sign = 1 if self.execution.settings.get("mode", "max") == "min" else -1

        def place(run: Run) -> tuple[bool, bool, float, int]:
            score = self.score(run)
            is_measured = math.isfinite(score)
            return run.state is not RunState.COMPLETED, not is_measured, sign * score if is_measured else 0.0, _at(run)

        return tuple(sorted(self.lineage.runs, key=place))

    @property
    def winner(self) -> Run | None:
        """The best of the runs that have completed; None where none of them has a score."""
        first = next(iter(self.ranked), None)
        if first is None or first.state is not RunState.COMPLETED or not math.isfinite(self.score(first)):
            return None
        return first

    def tuned_values(self, run: Run) -> dict[str, str]:
        """Return the tuned hyperparameters of *run* as they are now, each name with its value for people."""
        return {
            name: setting(run.hyperparameters[name]) if name in run.hyperparameters else ABSENT for name in self.tuned
        }

    def rows(self) -> list[dict[str, str]]:
        """Return the leaderboard as rows of a table."""
        return [self._row(place, run) for place, run in enumerate(self.ranked, start=1)]

    def _row(self, place: int, run: Run) -> dict[str, str]:
        own = {} if self.metric == EPISODIC_RETURN else {self.metric: figure(self.score(run))}
        return {
            "rank": str(place),
            "run": f"{run.member}  {run.name}",
            "state": run.state.value,
            "steps": f"{run.global_step:,}",
            **own,
            "return": figure(run.episodic_return),
            **self.tuned_values(run),
            "exploits": str(run.generation),
        }


def _at(run: Run) -> int:
    return -1 if run.member is None else run.member
