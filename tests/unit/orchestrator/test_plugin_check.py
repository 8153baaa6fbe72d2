"""What is fixed while a script runs is tuned only where the user allows to start it anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from arena_ray.model.errors import SpecError
from arena_ray.orchestrator.plugin_check import check_plugin
from arena_ray.testing.plugins import load_plugins

PLUGINS = load_plugins()
SPACE = {"learning_rate": {"uniform": [0, 1]}, "num_steps": {"choice": [64, 128]}}


@pytest.fixture
def settings_of(submission_of: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def make(**settings: object) -> dict[str, Any]:
        given = {"perturbation_interval": 100, "param_space": SPACE} | settings
        checked = check_plugin(submission_of(plugin={"name": "pbt", "settings": given}), PLUGINS)
        assert checked is not None
        return checked

    return make


def test_without_permission_it_is_refused_and_the_permission_named(settings_of: Callable[..., Any]) -> None:
    with pytest.raises(SpecError) as caught:
        settings_of()
    [line] = str(caught.value).splitlines()
    assert line.startswith("plugin.settings.param_space.num_steps: cannot be changed while ppo runs: line ")
    assert line.endswith("; give it under flags instead, or set allow_restart: true")


def test_with_permission_it_is_tuned(settings_of: Callable[..., Any]) -> None:
    checked = settings_of(allow_restart=True)
    assert checked["allow_restart"] is True
    assert checked["param_space"] == SPACE
