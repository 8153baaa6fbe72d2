"""What runs have logged and printed, wherever it is now: in memory or in their archives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arena_ray.model.events import MetricPoint
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.telemetry.archive import read_log_tail, read_metrics
from arena_ray.telemetry.hub import Hub
from arena_ray.telemetry.rings import RING_POINTS


class HeardOfRuns:
    """What the functions of plugins are told of it; see :class:`arena_ray.orchestrator.plugin_looks.Heard`."""

    def __init__(self, workspace: Workspace, hub: Hub) -> None:
        self._workspace = workspace
        self._hub = hub

    def points(self, run: Run) -> Mapping[str, Sequence[MetricPoint]]:
        """Return all points by tag: from memory where that holds all of them, else from the archive."""
        recent = self._hub.recent_metrics(run.name, None)
        if any(len(points) >= RING_POINTS for points in recent.values()):
            recent = {}
            for point in read_metrics(self._workspace.run(run.name).metrics):
                recent.setdefault(point.tag, []).append(point)
        if run.state.is_final:
            self._hub.forget(run.name)
        return recent

    def log_tail(self, run: Run, lines: int) -> list[str]:
        """Return the newest lines that its script has printed, oldest first."""
        return read_log_tail(self._workspace.run(run.name).log, lines)
