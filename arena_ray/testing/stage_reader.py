"""The runs of a stage, compared as those of an experiment are."""

from __future__ import annotations

from arena_ray.model.records import Lineage
from arena_ray.orchestrator.api import MetricSeries
from arena_ray.orchestrator.comparison import Comparing
from arena_ray.testing.stage_records import StageRecords


class StageReader(Comparing):
    """Reads what a stage keeps."""

    def __init__(self, records: StageRecords) -> None:
        self._records = records

    def lineage(self, name: str, execution: str | None = None) -> Lineage:
        """Return the runs of the execution, or where it has made none all that there are."""
        records = self._records
        own = records.list_runs(execution_id=records.execution.execution_id)
        return Lineage(
            experiment=name,
            execution=records.execution if own else None,
            runs=own or records.list_runs(),
            milestones=[],
            exploits=[],
        )

    def metrics(self, key: str, tag: str | None = None, last: int | None = None) -> list[MetricSeries]:
        """Return what a run has logged."""
        points = self._records.points(self._records.require_run(key))
        return [MetricSeries(tag=each, points=list(logged)) for each, logged in points.items()]
