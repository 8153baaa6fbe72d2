"""Which run of a plugin execution is the best, and the leaderboard of all of them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from arena_ray.cli.output import ABSENT, figure
from arena_ray.model.configurations import tuned_names
from arena_ray.model.standing import EPISODIC_RETURN, Standing

if TYPE_CHECKING:
    from arena_ray.model.records import Run


def setting(value: Any) -> str:
    """Return the value of a hyperparameter for people."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return figure(value)
    return str(value)


def label(run: Run) -> str:
    """Return the short name of a run among those of its execution."""
    return f"run {run.member}"


class Ranking(Standing):
    """The standing of the runs as people see it."""

    @property
    def metric_name(self) -> str:
        """What the runs are compared by, as people read it beside a number."""
        return "return" if self.metric == EPISODIC_RETURN else self.metric

    @cached_property
    def tuned(self) -> tuple[str, ...]:
        """Names of the hyperparameters that are tuned; those in which the runs differ where the plugin names none."""
        return tuned_names(self.execution, self.lineage.runs)

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
