"""What every installed plugin must keep, ours and anybody else's; the contracts are shipped for those who write one."""

from __future__ import annotations

from typing import Any

import pytest

from arena_ray.plugin.registration import Plugin
from arena_ray.testing import DeclarationContract, ExperimentPluginContract, PluginStage, Training, load_plugins

INSTALLED = load_plugins()
RATES = {"learning_rate": {"choice": [1e-4, 1e-3]}}


def test_the_built_in_plugins_come_in_by_their_entry_point() -> None:
    assert {"pbt", "hyperparameter_sweeper"} <= INSTALLED.plugins.keys()


def test_no_installed_plugin_is_broken() -> None:
    assert INSTALLED.broken == ()


class TestInstalledPlugins(DeclarationContract):
    @pytest.fixture(params=INSTALLED.plugins.values(), ids=list(INSTALLED.plugins))
    def plugin(self, request: pytest.FixtureRequest) -> Plugin:
        plugin: Plugin = request.param
        assert INSTALLED.plugins[plugin.name] is plugin
        return plugin


def train(training: Training, step: int) -> float:
    return -abs(training["learning_rate"] - 1e-3) * step


def stage_of(name: str, settings: dict[str, Any]) -> PluginStage:
    return PluginStage(INSTALLED.plugins[name].function, settings, train=train)


class TestPbt(ExperimentPluginContract):
    def stage(self) -> PluginStage:
        return stage_of("pbt", {"perturbation_interval": 1000, "param_space": RATES})


class TestHyperparameterSweeper(ExperimentPluginContract):
    def stage(self) -> PluginStage:
        return stage_of("hyperparameter_sweeper", {"search": "grid", "param_space": RATES})

    def test_the_best_cell_of_the_grid_is_its_result(self) -> None:
        assert self.stage().run().best_hyperparameters == {"learning_rate": 1e-3}
