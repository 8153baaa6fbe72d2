"""Which run of a plugin execution is the best: one rule for whoever asks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from arena_ray.model.configurations import configuration_key, final_score, iqm_of, replications
from arena_ray.model.records import Execution, Lineage, Run
from arena_ray.model.states import RunState

EPISODIC_RETURN = "episodic_return"


@dataclass(frozen=True)
class Standing:
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

    @cached_property
    def _scores(self) -> dict[str, float]:
        if self.metric == EPISODIC_RETURN:
            return {run.run_id: run.episodic_return for run in self.lineage.runs}
        judged = {each.run_id: each.score for each in self.lineage.milestones}  # the newest is the last
        return {**self.lineage.final_scores, **judged}

    def score(self, run: Run) -> float:
        """Return its mean return; by another metric its score at its newest milestone or its end. NaN for nothing."""
        return self._scores.get(run.run_id, math.nan)

    @property
    def mode(self) -> str:
        """Whether more of it is better, or less: ``max`` or ``min``."""
        return "min" if self.execution.settings.get("mode", "max") == "min" else "max"

    @cached_property
    def ranked(self) -> tuple[Run, ...]:
        """The runs, best first: those that have completed, then the others; without a score last.

        Where several differ in their seeds only, the better configuration comes first, with its runs; but where they
        were compared at milestones each stands for itself.
        """
        sign = -1.0 if self.mode == "min" else 1.0
        groups: dict[str, tuple[float, int]] = {}
        for group in [] if self.lineage.milestones else replications(self.lineage.runs):
            reached = iqm_of([final_score(run, self.score(run)) for run in group], sign=sign)
            # Those of which nothing can be said are compared run by run.
            groups[configuration_key(group[0])] = (-reached, _at(group[0]) if math.isfinite(reached) else -1)

        def place(run: Run) -> tuple[bool, tuple[float, int], bool, float, int]:
            score = self.score(run)
            is_measured = math.isfinite(score)
            group = groups.get(configuration_key(run), (math.inf, -1))
            own = -sign * score if is_measured else 0.0
            return run.state is not RunState.COMPLETED, group, not is_measured, own, _at(run)

        return tuple(sorted(self.lineage.runs, key=place))

    @property
    def winner(self) -> Run | None:
        """The best of the runs that have completed; None where none of them has a score."""
        first = next(iter(self.ranked), None)
        if first is None or first.state is not RunState.COMPLETED or not math.isfinite(self.score(first)):
            return None
        return first


def _at(run: Run) -> int:
    return -1 if run.member is None else run.member
