"""What runs have logged and printed, wherever it is now: in memory or in their archives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.telemetry.archive import read_log_tail
from arena_ray.telemetry.history import History, Point, plain
from arena_ray.telemetry.hub import Hub
from arena_ray.telemetry.rings import RING_POINTS


class HeardOfRuns:
    """What the functions of plugins are told of it; see :class:`arena_ray.orchestrator.plugin_looks.Heard`."""

    def __init__(self, workspace: Workspace, hub: Hub) -> None:
        self._workspace = workspace
        self._hub = hub
        self._histories: dict[str, History] = {}

    def points(self, run: Run) -> Mapping[str, Sequence[Point]]:
        """Return all points by tag: from memory where that holds all of them, else from the archive."""
        recent = self._hub.recent_metrics(run.name, None)
        points: Mapping[str, Sequence[Point]] = {tag: list(map(plain, logged)) for tag, logged in recent.items()}
        if any(len(logged) >= RING_POINTS for logged in recent.values()):
            history = History(self._workspace.run(run.name).metrics)
            points = self._histories.setdefault(run.name, history).read()
        if run.state.is_final:
            self._hub.forget(run.name)
            self._histories.pop(run.name, None)
        return points

    def log_tail(self, run: Run, lines: int) -> list[str]:
        """Return the newest lines that its script has printed, oldest first."""
        return read_log_tail(self._workspace.run(run.name).log, lines)
