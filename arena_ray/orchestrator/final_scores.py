"""What runs have reached by a metric of their script's: the registry knows their returns, the archives the rest."""

from __future__ import annotations

import math

from arena_ray.model.events import EPISODIC_RETURN
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Lineage, Run
from arena_ray.model.standing import Standing
from arena_ray.model.states import RunState


class FinalScores:
    """Reads the archive of a run once, after it has completed: it changes no more. Threads may share one."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[tuple[str, str], float] = {}

    def add_to(self, lineage: Lineage) -> Lineage:
        """Return *lineage* with the last value of its plugin's metric of each run that has completed."""
        if lineage.execution is None or Standing(lineage).metric == EPISODIC_RETURN:
            return lineage
        metric = Standing(lineage).metric
        completed = [run for run in lineage.runs if run.state is RunState.COMPLETED]
        scores = {run.run_id: self._score(run, metric) for run in completed}
        return lineage.model_copy(update={"final_scores": scores})

    def _score(self, run: Run, metric: str) -> float:
        from arena_ray.telemetry.archive import read_metrics

        place = run.run_id, metric
        if place not in self._known:
            points = read_metrics(self._workspace.run(run.name).metrics)
            self._known[place] = next((point.value for point in reversed(points) if point.tag == metric), math.nan)
        return self._known[place]
