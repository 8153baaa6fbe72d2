"""What is fixed while a script runs is tuned only where the user allows to start it anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from arena_ray.model.errors import SpecError
from arena_ray.model.states import Scope
from arena_ray.orchestrator.plugin_check import check_plugin, check_plugins
from arena_ray.plugin import register_plugin
from arena_ray.plugin.registration import Plugin, plugin_of
from arena_ray.testing.plugins import LoadedPlugins, load_plugins

PLUGINS = load_plugins()
SPACE = {"learning_rate": {"uniform": [0, 1]}, "num_steps": {"choice": [64, 128]}}


@pytest.fixture
def settings_of(submission_of: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def make(**settings: object) -> dict[str, Any]:
        given = {"perturbation_interval": 100, "param_space": SPACE} | settings
        checked = check_plugin(submission_of(plugin={"name": "pbt", "settings": given}), PLUGINS)
        assert checked is not None
        return checked.settings

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


def watcher(name: str, *, is_default: bool = False) -> Plugin:
    schema = {"patience": {"type": "int", "default": 5, "min": 1}}
    mark = register_plugin(name, "run", description="looks", settings_schema=schema, enabled_by_default=is_default)
    plugin = plugin_of(mark(lambda context, api: None))
    assert plugin is not None
    return plugin


def test_plugins_that_look_at_runs_are_those_of_the_file_and_those_on_by_default(
    submission_of: Callable[..., Any],
) -> None:
    known = {each.name: each for each in (watcher("named"), watcher("always", is_default=True), watcher("idle"))}
    plugins = LoadedPlugins(known)
    submission = submission_of(run_plugins=[{"name": "named", "settings": {"patience": 9}}])
    assert [(each.name, each.settings) for each in check_plugins(submission, plugins, Scope.RUN)] == [
        ("named", {"patience": 9}),
        ("always", {"patience": 5}),
    ]
    assert check_plugins(submission, plugins, Scope.REVISION) == []


def test_all_mistakes_in_the_lists_of_plugins_are_told_at_once(submission_of: Callable[..., Any]) -> None:
    plugins = LoadedPlugins({"named": watcher("named")})
    calls = [{"name": "named", "settings": {"patience": 0}}, {"name": "named"}, {"name": "nobody"}]
    with pytest.raises(SpecError) as caught:
        check_plugins(submission_of(run_plugins=calls), plugins, Scope.RUN)
    assert str(caught.value).splitlines() == [
        "run_plugins.0.settings.patience: must be at least 1, not 0",
        "no plugin 'nobody'; known: named",
        "run_plugins: names a plugin twice",
    ]
