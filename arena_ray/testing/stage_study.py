"""``api.tune`` on a stage: samples, seeds and result are those of a cluster, but no scheduler is at work."""

from __future__ import annotations

import math

from arena_ray.model.events import EPISODIC_RETURN
from arena_ray.model.records import Run
from arena_ray.model.spec import FlagValue
from arena_ray.plugin.study import SeedRace, Study, StudyResult
from arena_ray.scheduling.replication import Cells, Replication
from arena_ray.scheduling.search import Trained, open_search
from arena_ray.scheduling.seed_race import Cell
from arena_ray.scheduling.study_result import require_one_that_did_not_fail, result_of
from arena_ray.testing.stage_records import StageRecords


class StageStudy:
    """The runs of one study.

    Each of them trains for itself: ``Asha`` stops none, with ``Pbt`` none takes over another's weights, and a
    ``Schedule`` changes nothing. A ``SeedRace`` is raced.

    Raises:
        SpecError: The search space has no grid, or one that is too large.
    """

    def __init__(self, study: Study, records: StageRecords) -> None:
        seed = records.execution.spec.seed
        self._study = study
        self._records = records
        self._search = open_search(study, seed=seed)
        self._cells = Cells.of(study.scheduler)
        self._race = Replication(study.scheduler, study, seed=seed) if isinstance(study.scheduler, SeedRace) else None
        self._samples: list[dict[str, FlagValue]] = []
        self._made = 0

    @property
    def _runs(self) -> list[Run]:
        return self._records.list_runs(execution_id=self._records.execution.execution_id)

    def go_on(self) -> StudyResult | None:
        """Make the runs that may be made now; return the result once all are over.

        Raises:
            AllRunsFailed: They are, and none of them well.
            SpecError: The script does not take a sample.
        """
        while self._made < self._search.size * self._cells.least and self._has_room():
            self._add_run(self._cells.first(self._made))
        runs = self._runs
        if self._made < self._search.size * self._cells.least or not all(run.state.is_final for run in runs):
            return None
        require_one_that_did_not_fail(runs)
        made = {run.member for run in runs}
        wanted = self._race.stand(runs, self._scores(runs)).cells if self._race else ()
        due = [cell for cell in wanted if self._cells.member(cell) not in made]
        for cell in due:
            self._add_run(cell)
        return None if due else self._result(runs)

    def _has_room(self) -> bool:
        under_way = sum(not run.state.is_final for run in self._runs)
        # a search that learns is told how a run has ended before it proposes the next one
        most = 1 if self._search.learns else self._study.max_concurrent
        return most is None or under_way < most

    def _add_run(self, cell: Cell) -> None:
        records, (sample, seed) = self._records, cell
        if seed == 0:
            self._samples.append(self._search.sample(sample, self._trained() if self._search.learns else ()))
        base, spec = records.base_revision(""), records.execution.spec
        changes = {
            "hyperparameters": spec.hyperparameters | self._samples[sample],
            "seed": spec.seed + (sample if self._study.vary_seed else seed),
        }
        spec = spec.model_copy(update=changes)
        records.submit(
            spec,
            flags=records.script.check(spec),
            script=base.script,
            bundle=base.bundle,
            execution_id=records.execution.execution_id,
            member=self._cells.member(cell),
        )
        self._made += 1

    def _trained(self) -> list[Trained]:
        runs = self._runs
        scores = self._scores(runs)
        if self._race:
            return self._race.trained(runs, scores)
        return [Trained(self._samples[run.member or 0], scores[run.run_id]) for run in runs if run.state.is_final]

    def _scores(self, runs: list[Run]) -> dict[str, float]:
        metric = self._study.metric
        if metric == EPISODIC_RETURN:
            return {run.run_id: run.episodic_return for run in runs}
        logged = {run.run_id: self._records.points(run).get(metric) for run in runs}
        return {run_id: points[-1][1] if points else math.nan for run_id, points in logged.items()}

    def _result(self, runs: list[Run]) -> StudyResult:
        scores = self._scores(runs)
        if self._race:
            return self._race.result(runs, scores, {run.run_id: _seconds(run) for run in runs})
        return result_of(runs, scores, mode=self._study.mode)


def _seconds(run: Run) -> float:
    return (run.ended_at - run.started_at).total_seconds() if run.started_at and run.ended_at else 0.0
