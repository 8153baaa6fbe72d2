"""The runs of one study: made as the search gives them, judged by its scheduler, until all of them are over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

from arena_ray.model.events import EPISODIC_RETURN
from arena_ray.model.records import Execution, Run
from arena_ray.model.schedule import Schedule
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import RunState
from arena_ray.plugin.study import Asha, Pbt, SeedRace, Study, StudyResult
from arena_ray.scheduling.execution_port import ExecutionPort, StudyRecord
from arena_ray.scheduling.in_place import Crew, InPlacePbt, MilestoneScheduler
from arena_ray.scheduling.milestones import Course, Milestones
from arena_ray.scheduling.population import Population, Rules
from arena_ray.scheduling.replication import Cells, Replication
from arena_ray.scheduling.rungs import RungScheduler, rungs
from arena_ray.scheduling.scheduled import ScheduledChanges
from arena_ray.scheduling.search import Trained, open_search
from arena_ray.scheduling.seed_race import Cell
from arena_ray.scheduling.study_result import require_one_that_did_not_fail, result_of

LOOK_INTERVAL_S = 1.0
RUNS_A_TICK = 8
"""So many runs are made at a time, so that those that train are not kept waiting."""


class Trials(Crew, Protocol):
    """What a study asks of the engine."""

    def has(self, run_id: str) -> bool:
        """Whether the run has a trial that has not ended."""
        ...

    def is_held(self, run_id: str) -> bool:
        """Whether the run's trial is paused by the user."""
        ...


class StudyRuns:
    """Takes one study to its end. Holds nothing that could not be rebuilt from the registry.

    Args:
        study: What the plugin asked for.
        execution: The plugin execution.
        port: Plugin executions as the orchestrator keeps them.
        engine: Where the runs' trials are.
        driver: This driver's token.
        total_steps: How many steps a run takes, 0 where nobody knows.
    """

    def __init__(
        self,
        study: Study,
        execution: Execution,
        *,
        port: ExecutionPort,
        engine: Trials,
        driver: str,
        total_steps: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._study = study
        self._execution = execution
        self._port = port
        self._engine = engine
        self._driver = driver
        self._clock = clock
        self._search = open_search(study, seed=execution.spec.seed)
        self._cells = Cells.of(study.scheduler)
        self._replication: Replication | None = None
        if isinstance(study.scheduler, SeedRace):
            self._replication = Replication(study.scheduler, study, seed=execution.spec.seed)
        self._runs: dict[int, str] = {}
        self._samples: dict[int, dict[str, FlagValue]] = {}
        self._due: list[Cell] = []
        """Runs with further seeds that are still to be made."""
        self._next_look = 0.0
        record = port.record(execution.execution_id)
        self.course, self.scheduler = self._open_scheduler(record, total_steps)
        for run in record.runs:
            self._remember(run)
        self._look_for_due(record)

    def _open_scheduler(self, record: StudyRecord, total_steps: int) -> tuple[Course | None, MilestoneScheduler | None]:
        study, chosen = self._study, self._study.scheduler
        if isinstance(chosen, Pbt):
            population = Population(self._rules(chosen), study.param_space)
            pbt = InPlacePbt(
                self._engine,
                population,
                tuned=study.param_space.names,
                execution_id=self._execution.execution_id,
                commit=lambda exploit: self._port.commit_exploit(exploit, driver=self._driver),
            )
            pbt.recall(record)
            return Course(Milestones(interval=chosen.perturbation_interval), study.metric), pbt
        if isinstance(chosen, Asha):
            steps = rungs(chosen, total_steps=total_steps)
            halving = RungScheduler(self._engine, chosen, steps=steps, mode=study.mode, stop=self._stop)
            halving.recall(record)
            return Course(Milestones(steps=steps), study.metric), halving
        if isinstance(chosen, Schedule):
            changes = ScheduledChanges(
                self._engine,
                chosen,
                execution_id=self._execution.execution_id,
                commit=lambda exploit: self._port.commit_exploit(exploit, driver=self._driver),
                stop=self._stop,
            )
            changes.recall(record)
            return Course(Milestones(steps=chosen.steps), study.metric), changes
        return None, None

    def _rules(self, pbt: Pbt) -> Rules:
        return Rules(
            mode=self._study.mode,
            quantile_fraction=pbt.quantile_fraction,
            resample_probability=pbt.resample_probability,
            perturbation_factors=pbt.perturbation_factors,
            min_gap=pbt.min_gap,
            synchronous=pbt.synchronous,
            explore=pbt.explore,
            seed=self._execution.spec.seed,
        )

    def _stop(self, run_id: str, reason: str) -> None:
        self._port.stop_run(run_id, driver=self._driver, reason=reason)

    def tick(self) -> StudyResult | None:
        """Make the runs that may be made now; return the result once all are over.

        Raises:
            AllRunsFailed: They are, and none of them well.
        """
        self._add_runs()
        if self._next_cell() is not None or any(self._is_at_work(run_id) for run_id in self._runs.values()):
            return None
        if self._clock() < self._next_look:
            return None
        self._next_look = self._clock() + LOOK_INTERVAL_S
        record = self._port.record(self._execution.execution_id)
        if not all(run.state.is_final for run in record.runs):
            return None
        require_one_that_did_not_fail(record.runs)
        self._look_for_due(record)
        return None if self._due else self._result(record)

    def _is_at_work(self, run_id: str) -> bool:
        # What the user has paused may be stopped too, without its trial: the registry knows.
        return self._engine.has(run_id) and not self._engine.is_held(run_id)

    def _next_cell(self) -> Cell | None:
        """Return the run that is to be made next: every sample's first seeds, then what the race asks for."""
        number = len(self._runs)
        if number < self._search.size * self._cells.least:
            return self._cells.first(number)
        return next((cell for cell in self._due if self._cells.member(cell) not in self._runs), None)

    def _look_for_due(self, record: StudyRecord) -> None:
        if self._replication is not None and len(self._runs) >= self._search.size * self._cells.least:
            wanted = self._replication.stand(record.runs, self._scores(record)).cells
            self._due = [cell for cell in wanted if self._cells.member(cell) not in self._runs]

    def _add_runs(self) -> None:
        made = 0
        while made < RUNS_A_TICK and (cell := self._next_cell()) is not None and self._has_room():
            made += 1
            member = self._cells.member(cell)
            run = self._port.add_run(
                self._execution.execution_id,
                driver=self._driver,
                member=member,
                hyperparameters=self._sample(cell),
                seed=self._execution.spec.seed + (cell[0] if self._study.vary_seed else cell[1]),
            )
            self._remember(run)
            if isinstance(self.scheduler, InPlacePbt):
                self.scheduler.add(run)
            if self._search.learns:
                return  # its trial comes first; then it is seen whether there is room for another

    def _remember(self, run: Run) -> None:
        member = run.member or 0
        self._runs[member] = run.run_id
        self._samples.setdefault(self._cells.cell(member)[0], self._tuned(run))

    def _sample(self, cell: Cell) -> dict[str, FlagValue]:
        """Return the hyperparameters of a run: of one that is not its sample's first, those of the first."""
        sample, seed = cell
        if seed > 0:
            return self._samples[sample]
        return self._search.sample(sample, self._trained() if self._search.learns else ())

    def _tuned(self, run: Run) -> dict[str, FlagValue]:
        return {
            name: run.hyperparameters[name] for name in self._study.param_space.names if name in run.hyperparameters
        }

    def _has_room(self) -> bool:
        if self._study.max_concurrent is None and not self._search.learns:
            return True
        # The registry is asked: the engine gets its trials only after this, also those of a driver before this one.
        known = self._port.record(self._execution.execution_id).runs
        under_way = [run for run in known if not run.state.is_final]
        if self._study.max_concurrent is not None and len(under_way) >= self._study.max_concurrent:
            return False
        return not self._search.learns or not any(run.state is RunState.QUEUED for run in under_way)

    def _trained(self) -> list[Trained]:
        record = self._port.record(self._execution.execution_id)
        scores = self._scores(record)
        if self._replication is not None:
            return self._replication.trained(record.runs, scores)
        return [Trained(self._tuned(run), scores[run.run_id]) for run in record.runs if run.state.is_final]

    def _scores(self, record: StudyRecord) -> dict[str, float]:
        if self._study.metric == EPISODIC_RETURN:
            return {run.run_id: run.episodic_return for run in record.runs}
        measured = self._port.final_scores(self._execution.execution_id, metric=self._study.metric)
        return {run.run_id: measured.get(run.run_id, math.nan) for run in record.runs}

    def _result(self, record: StudyRecord) -> StudyResult:
        scores = self._scores(record)
        if self._replication is not None:
            return self._replication.result(record.runs, scores, self._port.durations(self._execution.execution_id))
        return result_of(record.runs, scores, mode=self._study.mode)
