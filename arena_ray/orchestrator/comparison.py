"""What an experiment's runs tell beside each other: the ranking of its configurations, and what made the difference."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from arena_ray.model.configurations import (
    CONFIDENCE,
    ConfigurationRanking,
    final_score,
    iqm_of,
    rank_configurations,
    replications,
    tuned_names,
)
from arena_ray.model.errors import NotFound, SpecError
from arena_ray.model.events import EPISODIC_RETURN
from arena_ray.model.importance import Importance
from arena_ray.model.records import Execution, Lineage, Run
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.states import RunState
from arena_ray.plugin.study import Mode

if TYPE_CHECKING:
    from arena_ray.orchestrator.api import MetricSeries


class Source(Protocol):
    """What is read of an experiment."""

    def lineage(self, name: str, execution: str | None = None) -> Lineage:
        """Return the runs of an experiment, of one plugin execution where there was one."""
        ...

    def metrics(self, key: str, tag: str | None = None, last: int | None = None) -> list[MetricSeries]:
        """Return the scalars of a run."""
        ...


class Comparison:
    """The runs of an experiment, compared by one metric: those of its newest plugin execution, or of another one.

    Args:
        source: Where they are read.
        name: The experiment.
        metric: ``episodic_return``, or a tag that the script logs; by default what its plugin compares by.
        mode: Whether more of it is better, or less; by default as its plugin has it, ``max`` without one.
        execution: Another plugin execution than the newest.

    Raises:
        NotFound: There is no such experiment or execution, or no run has logged the metric that was asked for.
    """

    def __init__(
        self, source: Source, name: str, *, metric: str | None, mode: Mode | None, execution: str | None
    ) -> None:
        lineage = source.lineage(name, execution)
        self._execution = lineage.execution
        self._experiment = lineage.experiment
        self._runs = lineage.runs
        settings = lineage.execution.settings if lineage.execution else {}
        by_plugin = str(settings.get("metric") or EPISODIC_RETURN)
        self._metric = metric or by_plugin
        self._mode: Mode = mode or ("min" if self._metric == by_plugin and settings.get("mode") == "min" else "max")
        wanted = settings.get("confidence")
        self._confidence = wanted if isinstance(wanted, float) and 0 < wanted < 1 else CONFIDENCE
        self._scores = _scores(source, lineage.runs, self._metric, is_asked_for=metric is not None)

    def ranking(self) -> ConfigurationRanking:
        """Return the configurations, the best first."""
        return ConfigurationRanking(
            experiment=self._experiment,
            execution_id=self._execution_id,
            metric=self._metric,
            mode=self._mode,
            confidence=self._confidence,
            configurations=rank_configurations(
                replications(self._runs),
                self._scores,
                mode=self._mode,
                tuned=tuned_names(self._execution, self._runs),
                confidence=self._confidence,
                seed=self._execution.spec.seed if self._execution else 0,
            ),
            unfinished=sum(not run.state.is_final for run in self._runs),
        )

    @property
    def _execution_id(self) -> str | None:
        return self._execution.execution_id if self._execution else None

    def importance(self) -> Importance:
        """Return how much each hyperparameter has to do with what the configurations have reached."""
        from arena_ray.scheduling.importance import EVALUATOR, NEEDED, shares
        from arena_ray.scheduling.search import Trained

        names = tuned_names(self._execution, self._runs)
        known = [
            Trained({name: run.hyperparameters[name] for name in names if name in run.hyperparameters}, score)
            for run, score in self._reached()
        ]
        found, reason = shares(known, space=_space_of(self._execution), names=names, mode=self._mode)
        return Importance(
            experiment=self._experiment,
            execution_id=self._execution_id,
            metric=self._metric,
            mode=self._mode,
            evaluator=EVALUATOR,
            importances=found,
            reason=reason,
            configurations=len(known),
            needed=NEEDED,
            left_out=dict(Counter(filter(None, map(self._why_not, self._runs)))),
        )

    def _reached(self) -> Iterator[tuple[Run, float]]:
        """Yield a run of each configuration that counts, and what was reached over its seeds."""
        sign = 1.0 if self._mode == "max" else -1.0
        for group in replications(run for run in self._runs if not run.generation):
            score = sign * iqm_of([final_score(run, self._scores[run.run_id]) for run in group], sign=sign)
            if math.isfinite(score):
                yield group[0], score

    def _why_not(self, run: Run) -> str | None:
        """Return why a run does not count, if it does not."""
        if run.generation:
            return "changed its hyperparameters while it trained"
        if not run.state.is_final:
            return "has not ended yet"
        if run.state is not RunState.COMPLETED:
            return f"is {run.state.value}"
        return None if math.isfinite(self._scores[run.run_id]) else "has no score"


class Comparing:
    """Makes comparisons of what it reads: the part of a reader that needs no more than the rest of it."""

    def ranking(
        self: Source, name: str, metric: str | None = None, mode: Mode | None = None, execution: str | None = None
    ) -> ConfigurationRanking:
        """Return the configurations of an experiment with what was reached over their seeds, the best first."""
        return Comparison(self, name, metric=metric, mode=mode, execution=execution).ranking()

    def importance(
        self: Source, name: str, metric: str | None = None, mode: Mode | None = None, execution: str | None = None
    ) -> Importance:
        """Return how much each hyperparameter has to do with what the runs of an experiment have reached."""
        return Comparison(self, name, metric=metric, mode=mode, execution=execution).importance()


def _scores(source: Source, runs: Sequence[Run], metric: str, *, is_asked_for: bool) -> dict[str, float]:
    """Return what each run has reached: its return, or the newest value of another metric; NaN for nothing."""
    if metric == EPISODIC_RETURN:
        return {run.run_id: run.episodic_return for run in runs}
    logged = {run.run_id: {one.tag: one.points for one in source.metrics(run.run_id)} for run in runs}
    if is_asked_for and runs and not any(metric in tags for tags in logged.values()):
        raise NotFound("metric", metric, known={EPISODIC_RETURN, *(tag for tags in logged.values() for tag in tags)})
    return {run_id: tags[metric][-1][1] if metric in tags else math.nan for run_id, tags in logged.items()}


def _space_of(execution: Execution | None) -> SearchSpace | None:
    written = execution.settings.get("param_space") if execution else None
    with suppress(SpecError):  # a plugin may call something else by this name
        return SearchSpace.parse(written) if written else None
    return None
