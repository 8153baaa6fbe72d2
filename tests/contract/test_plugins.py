"""What every installed plugin must keep, ours and anybody else's; the contracts are shipped for those who write one."""

from __future__ import annotations

import math
from typing import Any

import pytest

from arena_ray.plugin.registration import Plugin
from arena_ray.testing import (
    DeclarationContract,
    ExperimentPluginContract,
    PluginStage,
    RunPluginContract,
    Training,
    load_plugins,
)

INSTALLED = load_plugins()
RATES = {"learning_rate": {"choice": [1e-4, 1e-3]}}


def test_the_built_in_plugins_come_in_by_their_entry_point() -> None:
    assert {name for name, each in INSTALLED.plugins.items() if each.author == "arena_ray"} == {
        "auto_analyzer",
        "hyperparameter_sweeper",
        "pbt",
        "performance_monitor",
        "replay_schedule",
    }


def test_no_installed_plugin_is_broken() -> None:
    assert INSTALLED.broken == ()


class TestInstalledPlugins(DeclarationContract):
    @pytest.fixture(params=INSTALLED.plugins.values(), ids=list(INSTALLED.plugins))
    def plugin(self, request: pytest.FixtureRequest) -> Plugin:
        plugin: Plugin = request.param
        assert INSTALLED.plugins[plugin.name] is plugin
        return plugin


def train(training: Training, step: int) -> dict[str, float]:
    return {"episodic_return": -abs(training["learning_rate"] - 1e-3) * step, "charts/rate": 1.0 * step}


def stage_of(name: str, settings: dict[str, Any]) -> PluginStage:
    return PluginStage(INSTALLED.plugins[name].function, settings, train=train)


class TestPbt(ExperimentPluginContract):
    def stage(self) -> PluginStage:
        return stage_of("pbt", {"perturbation_interval": 1000, "param_space": RATES})


class TestReplaySchedule(ExperimentPluginContract):
    def stage(self) -> PluginStage:
        return stage_of("replay_schedule", {"schedule": [{"step": 0, "hyperparameters": {"learning_rate": 1e-3}}]})


class TestAutoAnalyzer(ExperimentPluginContract):
    def stage(self, *, metric: str = "not logged, so that nothing is drawn") -> PluginStage:
        stage = stage_of("auto_analyzer", {"repeat_minutes": 4.0, "metric": metric})
        stage.add_run(hyperparameters={"learning_rate": 1e-3}, minutes=3)
        stage.add_run(hyperparameters={"learning_rate": 1e-4})
        return stage

    def test_its_report_has_the_best_run_first(self) -> None:
        stage = self.stage(metric="charts/rate")
        stage.run()
        [note] = stage.notes
        assert note.text.startswith("📊 best of 2 runs: learning_rate 0.001")
        assert stage.minutes > 10
        assert "| 1 | learning_rate 0.001 |" in (stage.reports_folder / "analysis.md").read_text(encoding="utf-8")


class TestPerformanceMonitor(RunPluginContract):
    def stage(self) -> PluginStage:
        return stage_of("performance_monitor", {"on_nan": "stop"})

    def test_it_stops_a_run_whose_loss_is_not_a_number(self) -> None:
        plugin = INSTALLED.plugins["performance_monitor"].function
        stage = PluginStage(plugin, {"on_nan": "stop"}, train=lambda training, step: {"losses/value": math.nan})
        word, why = stage.look(1000)
        assert (word, why) == ("stop", "losses/value: not a number any more at step 1,000")
        assert stage.notes[0].text == f"⚠️ {why}"


class TestHyperparameterSweeper(ExperimentPluginContract):
    def stage(self) -> PluginStage:
        return stage_of("hyperparameter_sweeper", {"search": "grid", "param_space": RATES})

    def test_the_best_cell_of_the_grid_is_its_result(self) -> None:
        assert self.stage().run().best_hyperparameters == {"learning_rate": 1e-3}
