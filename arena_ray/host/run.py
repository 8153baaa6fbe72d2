"""A run as a plugin sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arena_ray.host.connection import Connection
from arena_ray.host.notes import Notes
from arena_ray.model.errors import SpecError
from arena_ray.model.events import EPISODIC_RETURN, decode_number
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import AT_WORK, RunState
from arena_ray.plugin.handles import MOST_POINTS, Metrics, MetricSummary


class HostedRun:
    """See :class:`arena_ray.plugin.handles.PluginRun`."""

    def __init__(self, told: Mapping[str, Any], *, connection: Connection, notes: Notes) -> None:
        self._connection = connection
        self._notes = notes
        self.run_id: str = told["run_id"]
        self.name: str = told["name"]
        self.revision_id: str = told["revision_id"]
        self.seed: int = told["seed"]
        self.config: Mapping[str, FlagValue] = told["config"]

    def __repr__(self) -> str:
        return f"<run {self.name}>"

    def get_status(self) -> str:
        """Return its state."""
        return str(self._connection.call("status", run_id=self.run_id))

    def is_running(self) -> bool:
        """Whether a process of it is at work."""
        return self.get_status() in AT_WORK

    def is_completed(self) -> bool:
        """Whether it has come to its end, and well."""
        return self.get_status() == RunState.COMPLETED

    def get_reward(self, metric_name: str = EPISODIC_RETURN) -> float:
        """Return the mean return of its last 20 episodes, or the newest value of a tag; NaN, and a note, without."""
        return decode_number(self._connection.call("reward", run_id=self.run_id, metric=metric_name))

    def get_metrics(self, metric_names: Sequence[str] | str | None = None, *, max_points: int = 200) -> Metrics:
        """Return tags of it."""
        return get_metrics(self._connection, self.run_id, metric_names, max_points=max_points)

    def get_logs(self, last_lines: int = 100) -> list[str]:
        """Return the newest lines that its script has printed, oldest first."""
        answer: list[Any] = self._connection.call("log_tail", run_id=self.run_id, lines=last_lines)
        return [str(line) for line in answer]

    def add_note(self, message: str, *, key: str | None = None) -> bool:
        """Write a note on it, and return whether it was not there yet."""
        return self._notes.add_on("run", self.run_id, str(message), key=key)

    def stop(self, reason: str = "") -> None:
        """Ask for its end."""
        self._connection.call("stop_run", run_id=self.run_id, reason=str(reason))


def get_metrics(connection: Connection, run_id: str, names: Sequence[str] | str | None, *, max_points: int) -> Metrics:
    """Return tags of a run.

    Raises:
        SpecError: *max_points* is out of range.
    """
    if not 1 <= max_points <= MOST_POINTS:
        raise SpecError(f"max_points is between 1 and {MOST_POINTS}, not {max_points}")
    wanted = [names] if isinstance(names, str) else None if names is None else list(names)
    told = connection.call("metrics", run_id=run_id, names=wanted, max_points=max_points)
    return Metrics(
        scalars={
            tag: [(step, decode_number(value), wall_time) for step, value, wall_time in points]
            for tag, points in told["scalars"].items()
        },
        latest={tag: decode_number(value) for tag, value in told["latest"].items()},
        summary={tag: _summary(summary) for tag, summary in told["summary"].items()},
    )


def _summary(told: Mapping[str, Any]) -> MetricSummary:
    return MetricSummary(
        min=decode_number(told["min"]),
        max=decode_number(told["max"]),
        mean=decode_number(told["mean"]),
        latest=decode_number(told["latest"]),
        count=told["count"],
    )
