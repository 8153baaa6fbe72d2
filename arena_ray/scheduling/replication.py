"""With how many seeds each sample of a study is trained, what that comes to, and what it has spared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from arena_ray.model.configurations import Configuration, final_score, iqm_of, rank_configurations
from arena_ray.model.records import Run
from arena_ray.model.spec import FlagValue
from arena_ray.plugin.study import Saving, SeedRace, Study, StudyResult
from arena_ray.scheduling.search import Trained
from arena_ray.scheduling.seed_race import Cell, Race, Stand


@dataclass(frozen=True)
class Cells:
    """Which number each run has: its sample's times the most seeds that one may have, plus which seed it is of that.

    So a run keeps its number whatever becomes of others, and a driver that begins anew knows each by it.
    """

    least: int = 1
    most: int = 1

    @classmethod
    def of(cls, scheduler: object) -> Cells:
        """Return the numbers for what this scheduler asks for."""
        if isinstance(scheduler, SeedRace):
            return cls(scheduler.min_seeds, scheduler.max_seeds)
        return cls()

    def member(self, cell: Cell) -> int:
        """Return the number of a run among those of its execution."""
        return cell[0] * self.most + cell[1]

    def cell(self, member: int) -> Cell:
        """Return sample and seed of the run with this number."""
        return divmod(member, self.most)

    def first(self, number: int) -> Cell:
        """Return the cell that is trained as this one, from 0, of those that every sample begins with."""
        return divmod(number, self.least)


class Replication:
    """The samples of a study whose runs differ in their seeds.

    Args:
        rules: How many seeds each sample has.
        study: What is tuned, and by what it is judged.
        seed: The experiment's.
    """

    def __init__(self, rules: SeedRace, study: Study, *, seed: int) -> None:
        self._rules = rules
        self._study = study
        self._seed = seed
        self._cells = Cells.of(rules)
        self._sign = 1.0 if study.mode == "max" else -1.0

    def stand(self, runs: Iterable[Run], scores: Mapping[str, float]) -> Stand:
        """Return how the race stands once *runs*, all that were made, have these scores by their ids."""
        groups = self._groups(runs)
        found = {
            self._cells.cell(run.member or 0): final_score(run, scores.get(run.run_id, math.nan))
            for group in groups
            for run in group
            if run.state.is_final
        }
        entrants = [self._cells.cell(group[0].member or 0)[0] for group in groups]
        return Race(self._rules, entrants, mode=self._study.mode, seed=self._seed).stand(found)

    def _groups(self, runs: Iterable[Run]) -> list[list[Run]]:
        """Return the runs of each sample, by seed; of samples with equal values only the first takes part."""
        groups: dict[int, list[Run]] = {}
        for run in sorted(runs, key=lambda run: run.member or 0):
            groups.setdefault(self._cells.cell(run.member or 0)[0], []).append(run)
        distinct: dict[str, list[Run]] = {}
        for group in groups.values():
            distinct.setdefault(repr(sorted(self._values(group[0]).items())), group)
        return list(distinct.values())

    def _values(self, run: Run) -> dict[str, FlagValue]:
        return {
            name: run.hyperparameters[name] for name in self._study.param_space.names if name in run.hyperparameters
        }

    def trained(self, runs: Iterable[Run], scores: Mapping[str, float]) -> list[Trained]:
        """Return each sample whose first seeds have all ended, with the interquartile mean over them."""
        known = []
        for group in self._groups(runs):
            if len(group) >= self._rules.min_seeds and all(run.state.is_final for run in group):
                found = [final_score(run, scores.get(run.run_id, math.nan)) for run in group]
                score = self._sign * iqm_of(found, sign=self._sign)
                known.append(Trained(self._values(group[0]), score if math.isfinite(score) else math.nan))
        return known

    def result(self, runs: Sequence[Run], scores: Mapping[str, float], durations: Mapping[str, float]) -> StudyResult:
        """Return how the study has ended."""
        groups, rules = self._groups(runs), self._rules
        ranked = rank_configurations(
            groups,
            scores,
            mode=self._study.mode,
            tuned=self._study.param_space.names,
            confidence=rules.confidence,
            seed=self._seed,
        )
        best = self._best_run(ranked[0], runs)
        is_race = rules.max_seeds > rules.min_seeds
        return StudyResult(
            best_run_id=best.run_id if best else None,
            best_score=ranked[0].iqm,
            best_hyperparameters=best.hyperparameters if best else {},
            num_runs=len(runs),
            configurations=ranked,
            is_clear=self.stand(runs, scores).is_clear if is_race else None,
            saving=saving_of(runs, groups, durations, most=rules.max_seeds) if is_race else None,
        )

    def _best_run(self, configuration: Configuration, runs: Iterable[Run]) -> Run | None:
        """Return the best run of the best configuration; None where nothing can be said of that one."""
        if not math.isfinite(configuration.iqm):
            return None
        scores = dict(zip(configuration.run_ids, configuration.scores, strict=True))
        measured = [run for run in runs if math.isfinite(scores.get(run.run_id, math.nan))]
        return max(measured, key=lambda run: self._sign * scores[run.run_id])


def saving_of(
    runs: Iterable[Run], groups: Iterable[Sequence[Run]], durations: Mapping[str, float], *, most: int
) -> Saving:
    """Return what *runs* have cost, and what runs with the other of *most* seeds for each of *groups* would have.

    A run that was never made is taken to cost what those of its group have on average.
    """
    listed = list(runs)
    on_gpu = any(run.resources.gpu for run in listed)

    def hours(run: Run) -> float:
        reserved = run.resources.gpu if on_gpu else run.resources.cpu
        return durations.get(run.run_id, 0.0) / 3600.0 * reserved

    saved_hours, saved_runs = 0.0, 0
    for group in groups:
        never_made = most - len(group)
        saved_runs += never_made
        saved_hours += never_made * math.fsum(map(hours, group)) / len(group)
    return Saving(
        unit="GPU" if on_gpu else "CPU",
        used_hours=math.fsum(map(hours, listed)),
        saved_hours=saved_hours,
        used_runs=len(listed),
        saved_runs=saved_runs,
    )
