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


@pytest.fixture
def schedule_of(submission_of: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def make(*values: dict[str, object], is_revision: bool = False, **settings: object) -> dict[str, Any]:
        schedule = [{"step": 100 * at, "hyperparameters": each} for at, each in enumerate(values)]
        plugin = {"name": "replay_schedule", "settings": {"schedule": schedule} | settings}
        submission = submission_of(plugin=plugin, hyperparameters={"gamma": 0.9})
        checked = check_plugin(submission, PLUGINS, is_revision=is_revision)
        assert checked is not None
        return checked.settings

    return make


def test_the_values_of_a_schedule_are_fitted_to_the_script(schedule_of: Callable[..., Any]) -> None:
    checked = schedule_of({"learning_rate": 1, "ent_coef": 0.5}, {"learning_rate": 0.5}, {"learning_rate": 1})
    first, second, third = checked["schedule"]
    assert [each["hyperparameters"] for each in (first, second, third)] == [
        {"learning_rate": 1.0, "ent_coef": 0.5},
        {"learning_rate": 0.5},
        {"learning_rate": 1.0},
    ]
    assert type(first["hyperparameters"]["learning_rate"]) is float


def test_every_mistake_of_a_schedule_is_told(schedule_of: Callable[..., Any]) -> None:
    with pytest.raises(SpecError) as caught:
        schedule_of({"learning_rat": 1, "num_steps": 64, "ent_coef": "much", "gamma": 0.8}, {"num_steps": 128})
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].removeprefix("plugin.settings.schedule.") for line in lines] == [
        "learning_rat",
        "num_steps",
        "ent_coef",
        "gamma",
    ]
    assert "did you mean 'learning_rate'" in lines[0]
    assert "set allow_restart: true" in lines[1]


def test_hyperparameters_of_a_revision_may_be_tuned_and_those_of_a_file_not(schedule_of: Callable[..., Any]) -> None:
    assert schedule_of({"gamma": 0.8}, is_revision=True)["schedule"][0]["hyperparameters"] == {"gamma": 0.8}
    with pytest.raises(SpecError, match="given under hyperparameters or flags too"):
        schedule_of({"gamma": 0.8})


def test_what_a_schedule_leaves_as_it_begins_may_be_fixed(schedule_of: Callable[..., Any]) -> None:
    checked = schedule_of({"num_steps": 64, "learning_rate": 0.1}, {"learning_rate": 0.2})
    assert checked["schedule"][0]["hyperparameters"] == {"num_steps": 64, "learning_rate": 0.1}


def test_a_schedule_may_change_what_is_fixed_where_that_is_allowed(schedule_of: Callable[..., Any]) -> None:
    assert schedule_of({"num_steps": 64}, {"num_steps": 128}, allow_restart=True)["allow_restart"] is True
