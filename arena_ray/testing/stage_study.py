"""``api.tune`` on a stage: the samples are those that a cluster would train, and each of them trains for itself."""

from __future__ import annotations

import math

from arena_ray.model.errors import AllRunsFailed
from arena_ray.model.events import EPISODIC_RETURN
from arena_ray.model.states import RunState
from arena_ray.plugin.study import Study, StudyResult
from arena_ray.runner.arguments import check_flags
from arena_ray.scheduling.search import Trained, open_search
from arena_ray.testing.stage_records import StageRecords
from arena_ray.testing.training import StagedRun


class StageStudy:
    """The runs of one study. No scheduler is at work: ``Asha`` stops none of them, and with ``Pbt`` none exploits.

    Raises:
        SpecError: The search space has no grid, or one that is too large.
    """

    def __init__(self, study: Study, records: StageRecords) -> None:
        self._study = study
        self._records = records
        self._search = open_search(study, seed=records.execution.spec.seed)
        self._runs: list[StagedRun] = []

    def go_on(self) -> StudyResult | None:
        """Make the runs that may be made now; return the result once all are over.

        Raises:
            AllRunsFailed: They are, and none of them well.
            SpecError: The script does not take a sample.
        """
        while len(self._runs) < self._search.size and self._has_room():
            self._add_run()
        if len(self._runs) < self._search.size or not all(run.record.state.is_final for run in self._runs):
            return None
        if all(run.record.state is RunState.FAILED for run in self._runs):
            raise AllRunsFailed(len(self._runs), first=(self._runs[0].record.reason or "").splitlines()[0])
        return self._result()

    def _has_room(self) -> bool:
        under_way = sum(not run.record.state.is_final for run in self._runs)
        # a search that learns is told how a run has ended before it proposes the next one
        most = 1 if self._search.learns else self._study.max_concurrent
        return most is None or under_way < most

    def _add_run(self) -> None:
        records, member = self._records, len(self._runs)
        base, spec = records.base_revision(""), records.execution.spec
        sample = self._search.sample(member, [self._trained(run) for run in self._runs] if self._search.learns else ())
        seed = spec.seed + (member if self._study.vary_seed else 0)
        spec = spec.model_copy(update={"hyperparameters": spec.hyperparameters | sample, "seed": seed})
        flags = check_flags(
            records.script.arguments, script=spec.script, hyperparameters=spec.hyperparameters, flags=spec.flags
        )
        run, _ = records.submit(
            spec,
            flags=flags,
            script=base.script,
            bundle=base.bundle,
            execution_id=records.execution.execution_id,
            member=member,
        )
        self._runs.append(records.staged_run(run.run_id))

    def _trained(self, run: StagedRun) -> Trained:
        given = run.record.hyperparameters
        return Trained({name: given[name] for name in self._study.param_space.names if name in given}, self._score(run))

    def _score(self, run: StagedRun) -> float:
        if self._study.metric == EPISODIC_RETURN:
            return run.record.episodic_return
        points = run.points.get(self._study.metric)
        return points[-1].value if points else math.nan

    def _result(self) -> StudyResult:
        sign = 1.0 if self._study.mode == "max" else -1.0
        ended = [(run, self._score(run)) for run in self._runs if run.record.state is not RunState.FAILED]
        measured = [(run, score) for run, score in ended if math.isfinite(score)]
        best = max(measured, key=lambda pair: sign * pair[1], default=None)
        if best is None:
            return StudyResult(best_run_id=None, best_score=math.nan, num_runs=len(self._runs))
        run, score = best
        return StudyResult(
            best_run_id=run.record.run_id,
            best_score=score,
            best_hyperparameters=run.record.hyperparameters,
            num_runs=len(self._runs),
        )
