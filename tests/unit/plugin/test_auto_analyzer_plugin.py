"""What auto_analyzer writes on an experiment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from arena_plugins.auto_analyzer_plugin import auto_analyzer, draw, saved, trend
from arena_ray.plugin.registration import plugin_of
from arena_ray.plugin.schema import check_settings

PLUGIN = plugin_of(auto_analyzer)


def settings(**given: Any) -> dict[str, Any]:
    assert PLUGIN is not None
    return check_settings(PLUGIN.schema, given, place="settings")


def curve(*values: float) -> list[tuple[int, float, float]]:
    return [(index * 100, value, float(index)) for index, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (range(100), "rising (69.5 to 89.5)"),
        ([100 - value for value in range(50)], "falling (65.5 to 55.5)"),
        ([10.0, 10.2] * 30, "level"),
        ([*range(30), *[7.0] * 20], "stuck"),
        (range(9), "too short"),
        ([], "too short"),
        ([math.nan] * 30, "too short"),
        ([0.0] * 10 + [1.0] * 5, "rising (0 to 1)"),
    ],
)
def test_the_trend_is_that_of_the_last_fifth(values: Any, expected: str) -> None:
    assert trend(curve(*map(float, values)), settings()) == expected


def run(number: int, **changes: Any) -> dict[str, Any]:
    keys = {
        "run_id": f"r{number}",
        "name": f"run-{number}",
        "state": "completed",
        "global_step": 1000,
        "episodic_return": 10.0 * number,
        "revision_id": "v",
        "resources": {"cpu": 2.0, "gpu": 0.0},
        "started_at": "2026-01-01T00:00:00Z",
        "steps_per_second": 1000.0 / 3600.0,
    }
    return keys | changes


def data(*runs: Mapping[str, Any], total: int | None = 4000) -> dict[str, Any]:
    return {"name": "x", "runs": list(runs), "revisions": [{"revision_id": "v", "flags": {"total_timesteps": total}}]}


def test_what_was_saved_is_what_stopped_runs_would_have_taken() -> None:
    stopped = run(1, state="stopped")
    on_gpu = run(2, state="stopped", resources={"cpu": 1.0, "gpu": 0.5})
    assert saved(data(run(0), stopped, on_gpu)) == "about 1.50 GPU-hours and about 6.00 CPU-hours"
    assert saved(data(run(0))) == "Nothing: no run was stopped before its end."
    assert "Of 1 that were stopped it is not known." in saved(data(stopped, total=None))
    assert "Of 1 that were stopped it is not known." in saved(data(run(1, state="stopped", steps_per_second=None)))


class Stage:
    """Api and context of one execution."""

    def __init__(self, *looks: dict[str, Any], reason: str | None = None, **given: Any) -> None:
        self.settings = settings(**given)
        self.looks = list(looks)
        self.reason = reason
        self.reports: list[tuple[str, str, list[str]]] = []
        self.notes: list[str] = []
        self.waited: list[float] = []

    def get_experiment_data(self) -> dict[str, Any]:
        return self.looks.pop(0)

    def get_metrics(self, run_id: str, tag: str) -> Any:
        return {"scalars": {tag: curve(*map(float, range(30)))}}

    def get_ranking(self) -> dict[str, Any]:
        best = {"hyperparameters": {"learning_rate": 0.001}, "seeds": [1, 2], "iqm": 20.5, "low": 19.0, "high": None}
        return {"metric": "episodic_return", "configurations": [best]}

    def get_importance(self) -> dict[str, Any]:
        return {"reason": self.reason, "importances": {} if self.reason else {"learning_rate": 0.75, "gamma": 0.25}}

    def save_report(self, name: str, text: str, *, files: Mapping[str, bytes]) -> str:
        self.reports.append((name, text, list(files)))
        return f"/reports/{name}.md"

    def add_note(self, message: str) -> None:
        self.notes.append(message)

    def wait(self, *, minutes: float) -> None:
        self.waited.append(minutes)


def test_the_report_says_what_is_best_how_runs_go_and_what_made_the_difference() -> None:
    stage = Stage(data(run(1), run(2, episodic_return=None)))
    auto_analyzer(stage, stage)
    [(name, text, _)] = stage.reports
    assert name == "analysis"
    lines = text.splitlines()
    assert "best of 2 runs: learning_rate 0.001, episodic_return 20.5" in lines
    assert "| 1 | learning_rate 0.001 | 2 | 20.5 | 19 to - |" in lines
    assert "| run-2 | completed | 1,000 | - | rising (20.5 to 26.5) |" in lines
    assert "- learning_rate: 75%" in lines
    assert stage.notes == ["📊 best of 2 runs: learning_rate 0.001, episodic_return 20.5\nreport: /reports/analysis.md"]
    assert stage.waited == []


def test_too_few_runs_say_so_instead_of_numbers() -> None:
    stage = Stage(data(run(1)), reason="20 configurations are needed, and there is 1")
    auto_analyzer(stage, stage)
    assert "20 configurations are needed, and there is 1" in stage.reports[0][1].splitlines()


def test_it_goes_on_until_all_runs_are_over() -> None:
    stage = Stage(data(run(1, state="running")), data(run(1, state="paused")), data(run(1)), repeat_minutes=5)
    auto_analyzer(stage, stage)
    assert (len(stage.reports), stage.waited, len(stage.notes)) == (3, [5.0, 5.0], 1)


def test_curves_and_importances_are_drawn() -> None:
    runs = [run(number) for number in range(15)]
    curves = {each["run_id"]: curve(1.0, math.nan, 3.0) for each in runs}
    plots = draw(runs, curves, {"learning_rate": 1.0}, "charts/episodic_return")
    assert {name: content[:8] for name, content in plots.items()} == {
        "analysis-curves.png": b"\x89PNG\r\n\x1a\n",
        "analysis-importance.png": b"\x89PNG\r\n\x1a\n",
    }
    assert draw([run(1)], {"r1": []}, {}, "x") == {}
