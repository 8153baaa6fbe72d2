"""An api that keeps the study it is asked for, and a context with checked settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from arena_ray.plugin import Schedule
from arena_ray.plugin.schema import check_settings
from arena_ray.plugin.study import Study, StudyResult
from arena_ray.testing.plugins import load_plugins


@dataclass(frozen=True)
class Context:
    plugin_name: str
    settings: dict[str, Any]
    execution_id: str = "e1"
    experiment_id: str = "x1"
    experiment: str = "demo"
    should_stop: bool = False


@dataclass
class RecordingApi:
    studies: list[Study] = field(default_factory=list)

    def tune(self, **arguments: Any) -> StudyResult:
        self.studies.append(Study(**arguments))
        return StudyResult(best_run_id="r1", best_score=1.0)

    @property
    def db(self) -> Any:
        """The registry, which has one run: with the last values of whatever schedule was asked for."""
        schedule = self.studies[-1].scheduler
        values = schedule.after(len(schedule.steps)) if isinstance(schedule, Schedule) else {}
        find_one = lambda query: {"hyperparameters": values}  # noqa: E731
        return SimpleNamespace(runs=SimpleNamespace(find_one=find_one))


def study_of(name: str, **values: Any) -> Study:
    """Return the study that the shipped plugin *name* asks for with these settings."""
    plugin = load_plugins().require(name)
    api = RecordingApi()
    context = Context(name, check_settings(plugin.schema, values, place="plugin.settings"))
    assert plugin.function(context, api).best_run_id == "r1"
    [study] = api.studies
    return study


def mistakes_of(name: str, **values: Any) -> list[str]:
    """Return the lines with which the settings are refused; none where they are good."""
    try:
        check_settings(load_plugins().require(name).schema, values, place="plugin.settings")
    except ValueError as exc:
        return str(exc).splitlines()
    return []
