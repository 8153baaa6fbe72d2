"""What the functions of plugins look at: runs with their metrics and logs, and the registry."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from arena_ray.model.configurations import ConfigurationRanking
from arena_ray.model.errors import NotFound, PluginMistake, SpecError
from arena_ray.model.events import EPISODIC_RETURN, encode_number
from arena_ray.model.importance import Importance
from arena_ray.model.records import Record, Run
from arena_ray.orchestrator.plugin_records import PluginRecords
from arena_ray.plugin.study import Mode
from arena_ray.telemetry.history import Point
from arena_ray.telemetry.rings import mean

MOST_LOG_LINES = 10_000
TABLES = ("experiments", "revisions", "runs")


class AtWork(Protocol):
    """Where a plugin is at work: an execution, or what looks at a revision."""

    @property
    def experiment_id(self) -> str:
        """The experiment's id; empty where there is none yet."""
        ...

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        ...

    @property
    def execution_id(self) -> str | None:
        """The execution, where one is kept."""
        ...


def own_run(store: PluginRecords, at_work: AtWork, run_id: str) -> Run:
    """Return the run, which is one of the plugin's experiment.

    Raises:
        NotFound: It is not.
    """
    run = store.require_run(run_id)
    if run.experiment_id != at_work.experiment_id:
        raise NotFound("run", f"{run_id} in experiment {at_work.experiment}")
    return run


class Heard(Protocol):
    """What runs have logged and printed."""

    def points(self, run: Run) -> Mapping[str, Sequence[Point]]:
        """Return all points of a run by tag, oldest first."""
        ...

    def log_tail(self, run: Run, lines: int) -> list[str]:
        """Return the newest lines that its script has printed, oldest first."""
        ...


class Comparer(Protocol):
    """Compares the runs of an experiment."""

    def ranking(self, name: str, metric: str | None = None, mode: Mode | None = None) -> ConfigurationRanking:
        """Return its configurations, the best first."""
        ...

    def importance(self, name: str, metric: str | None = None, mode: Mode | None = None) -> Importance:
        """Return how much each hyperparameter has to do with what was reached."""
        ...


class PluginLooks:
    """Answers what plugins ask. Answers are JSON; numbers that it cannot hold are words."""

    def __init__(self, store: PluginRecords, *, heard: Heard, reader: Comparer) -> None:
        self._store = store
        self._heard = heard
        self._reader = reader

    def find_look(self, method: str) -> Callable[..., Any]:
        """Return what answers *method*: a function of the execution and the call's arguments.

        Raises:
            PluginMistake: There is no such call.
        """
        looks: dict[str, Callable[..., Any]] = {
            "run": self._run,
            "status": self._status,
            "reward": self._reward,
            "metrics": self._metrics,
            "log_tail": self._log_tail,
            "find": self._find,
            "find_one": self._find_one,
            "experiment_data": self._experiment_data,
            "ranking": self._ranking,
            "importance": self._importance,
        }
        if method not in looks:
            raise PluginMistake(f"there is no call {method!r}")
        return looks[method]

    def handle_of(self, run: Run) -> dict[str, Any]:
        """Return what of a run does not change."""
        revision = self._store.get_revision(run.revision_id)
        assert revision is not None, "a run lost its revision"
        told = run.model_dump(mode="json", include={"run_id", "name", "revision_id", "seed"})
        return told | {"config": revision.flags}

    def _run(self, at_work: AtWork, *, run_id: str) -> dict[str, Any]:
        return self.handle_of(own_run(self._store, at_work, run_id))

    def _status(self, at_work: AtWork, *, run_id: str) -> str:
        return own_run(self._store, at_work, run_id).state.value

    def _reward(self, at_work: AtWork, *, run_id: str, metric: str) -> float | str:
        run = own_run(self._store, at_work, run_id)
        score = run.episodic_return
        if metric != EPISODIC_RETURN:
            points = self._heard.points(run).get(metric)
            score = points[-1][1] if points else math.nan
        if math.isnan(score):
            why = (
                "no episode has ended in it" if metric == EPISODIC_RETURN else "that was not logged, or is not a number"
            )
            what = "return" if metric == EPISODIC_RETURN else metric
            self._store.add_note(
                at_work.experiment_id,
                f"⚠️ {run.name} has no {what}: {why}",
                run_id=run.run_id,
                execution_id=at_work.execution_id,
                call=f"no {what} of {run.run_id}",
            )
        return encode_number(score)

    def _metrics(self, at_work: AtWork, *, run_id: str, names: Sequence[str] | None, max_points: int) -> dict[str, Any]:
        found = self._heard.points(own_run(self._store, at_work, run_id))
        wanted = {name: found.get(name, ()) for name in (sorted(found) if names is None else names)}
        return {
            "scalars": {
                name: [[step, encode_number(value), wall_time] for step, value, wall_time in evenly(points, max_points)]
                for name, points in wanted.items()
            },
            "latest": {name: encode_number(points[-1][1] if points else math.nan) for name, points in wanted.items()},
            "summary": {name: _summary(points) for name, points in wanted.items()},
        }

    def _log_tail(self, at_work: AtWork, *, run_id: str, lines: int) -> list[str]:
        run = own_run(self._store, at_work, run_id)
        return self._heard.log_tail(run, max(0, min(lines, MOST_LOG_LINES)))

    def _find(self, at_work: AtWork, *, kind: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows = [row.model_dump(mode="json") for row in self._rows(at_work.experiment_id, kind)]
        return [row for row in rows if all(row.get(key) == value for key, value in query.items())]

    def _find_one(self, at_work: AtWork, *, kind: str, query: Mapping[str, Any]) -> dict[str, Any] | None:
        return next(reversed(self._find(at_work, kind=kind, query=query)), None)

    def _rows(self, experiment_id: str, kind: str) -> Sequence[Record]:
        if kind == "experiments":
            return self._store.list_experiments()[::-1]
        if kind == "revisions":
            return self._store.list_revisions(experiment_id)
        if kind == "runs":
            return self._store.list_runs(experiment=experiment_id)
        raise NotFound("table", kind, known=TABLES)

    def _ranking(self, at_work: AtWork, *, metric: str | None, mode: Mode | None) -> dict[str, Any]:
        return self._reader.ranking(at_work.experiment, metric, mode).model_dump(mode="json")

    def _importance(self, at_work: AtWork, *, metric: str | None, mode: Mode | None) -> dict[str, Any]:
        return self._reader.importance(at_work.experiment, metric, mode).model_dump(mode="json")

    def _experiment_data(self, at_work: AtWork) -> dict[str, Any]:
        experiment = self._store.get_experiment(at_work.experiment_id)
        assert experiment is not None, "an execution lost its experiment"
        rows: dict[str, Sequence[Record]] = {kind: self._rows(at_work.experiment_id, kind) for kind in TABLES[1:]}
        rows["notes"] = self._store.list_notes(at_work.experiment_id)
        lists = {kind: [row.model_dump(mode="json") for row in each] for kind, each in rows.items()}
        return experiment.model_dump(mode="json") | lists


def evenly(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most so many of *points*, evenly chosen, the newest always among them.

    Raises:
        SpecError: *most* is below 1.
    """
    if most < 1:
        raise SpecError(f"max_points is at least 1, not {most}")
    if len(points) <= most:
        return list(points)
    return [points[(index + 1) * len(points) // most - 1] for index in range(most)]


def _summary(points: Sequence[Point]) -> dict[str, Any]:
    """Return least, greatest, mean and newest of what was logged, and how often; what is not finite counts as it is."""
    values = [value for _, value, _ in points]
    if not values:
        return dict.fromkeys(("min", "max", "mean", "latest"), encode_number(math.nan)) | {"count": 0}
    is_finite = all(map(math.isfinite, values))
    told = {
        "min": min(values) if is_finite else math.nan,
        "max": max(values) if is_finite else math.nan,
        "mean": mean(values) if is_finite else math.nan,
        "latest": values[-1],
    }
    return {key: encode_number(value) for key, value in told.items()} | {"count": len(values)}
