"""What a plugin's calls return: runs, revisions and the policies that answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypedDict

from arena_ray.model.events import EPISODIC_RETURN
from arena_ray.model.spec import FlagValue

RunEnd = Literal["completed", "failed", "stopped", "timed_out"]
"""How a run that was waited for has ended, or that it has not."""

MOST_POINTS = 10_000
"""So many points of a tag are returned at most, evenly chosen, the newest among them."""


class MetricSummary(TypedDict):
    """One tag of a run over all its points; NaN where it has none, or where they are none."""

    min: float
    max: float
    mean: float
    latest: float
    count: int


class Metrics(TypedDict):
    """Tags of a run. A point is ``(global_step, value, wall_time)``, in seconds since 1970; in the order logged."""

    scalars: dict[str, list[tuple[int, float, float]]]
    latest: dict[str, float]
    summary: dict[str, MetricSummary]


class PluginRevision(Protocol):
    """A revision."""

    @property
    def revision_id(self) -> str:
        """Its id."""
        ...

    @property
    def number(self) -> int:
        """Its number within the experiment, from 1."""
        ...

    @property
    def name(self) -> str | None:
        """What the plugin has called it."""
        ...

    @property
    def hyperparameters(self) -> Mapping[str, FlagValue]:
        """All its hyperparameters: those of the revision before it too."""
        ...


class PluginRun(Protocol):
    """A run of the experiment. What its methods tell is asked for at each call."""

    @property
    def run_id(self) -> str:
        """Its id."""
        ...

    @property
    def name(self) -> str:
        """Its name: ``<env>__<algo>__<seed>__<timestamp>``."""
        ...

    @property
    def revision_id(self) -> str:
        """The revision that it trains."""
        ...

    @property
    def seed(self) -> int:
        """Its seed."""
        ...

    @property
    def config(self) -> Mapping[str, FlagValue]:
        """All that its script was given when it was made, hyperparameters included."""
        ...

    def get_status(self) -> str:
        """Return its state, such as ``running`` or ``completed``."""
        ...

    def is_running(self) -> bool:
        """Whether a process of it is at work."""
        ...

    def is_completed(self) -> bool:
        """Whether it has come to its end, and well."""
        ...

    def get_reward(self, metric_name: str = EPISODIC_RETURN) -> float:
        """Return the mean return of its last 20 episodes, or the newest value of a tag.

        NaN, and a note, where no episode has ended or nothing was logged under that tag.
        """
        ...

    def get_metrics(self, metric_names: Sequence[str] | str | None = None, *, max_points: int = 200) -> Metrics:
        """Return tags of it; see :meth:`PluginApi.get_metrics`."""
        ...

    def get_logs(self, last_lines: int = 100) -> list[str]:
        """Return the newest lines that its script has printed, oldest first."""
        ...

    def add_note(self, message: str, *, key: str | None = None) -> bool:
        """Write a note on it; see :meth:`PluginApi.add_note`."""
        ...

    def stop(self, reason: str = "") -> None:
        """Ask for its end at its next boundary, after a last snapshot. One that has ended stays as it is."""
        ...


class Table(Protocol):
    """Rows of the registry, to read. A row is a mapping, with the keys that the command line shows as JSON."""

    def find(self, query: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows whose values equal those of *query*, oldest first; all without one."""
        ...

    def find_one(self, query: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the newest of those rows, or None."""
        ...


class Database(Protocol):
    """What the registry knows, to read."""

    @property
    def experiments(self) -> Table:
        """All experiments."""
        ...

    @property
    def revisions(self) -> Table:
        """The revisions of this experiment."""
        ...

    @property
    def runs(self) -> Table:
        """The runs of this experiment."""
        ...
