from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from arena_ray.model.paths import Workspace
from arena_ray.model.states import RunState
from arena_ray.orchestrator.api import GatewayAddress
from arena_ray.registry.store import Store

if TYPE_CHECKING:
    from conftest import AddRun, Arena, PlayedOrchestrator

THIRD_PARTY = """
from arena_ray.plugin import register_plugin

@register_plugin(name="watcher", scope="run", description="watches")
def watch(context, api):
    pass
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a distribution with a plugin that can be used and one that cannot."""
    site = tmp_path / "site"
    (site / "others-1.0.dist-info").mkdir(parents=True)
    (site / "others-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (site / "others-1.0.dist-info" / "entry_points.txt").write_text("[arena_ray.plugins]\nothers = others\n")
    (site / "others").mkdir()
    (site / "others" / "__init__.py").touch()
    (site / "others" / "watcher_plugin.py").write_text(THIRD_PARTY)
    (site / "others" / "hopeless_plugin.py").write_text("raise RuntimeError('no luck')\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))  # plugins are loaded in processes of their own
    return site / "others"


def test_plugins_are_listed_with_scope_and_origin(arena: Arena, workspace: Workspace, third_party: Path) -> None:
    listed = {each["name"]: each for each in json.loads(arena("plugins", "--json").stdout)}
    assert (listed["pbt"]["scope"], listed["pbt"]["problem"]) == ("experiment", None)
    assert (listed["watcher"]["scope"], listed["watcher"]["origin"]) == ("run", str(third_party / "watcher_plugin.py"))
    [row] = [line for line in arena("plugins").stdout.splitlines() if line.startswith("watcher")]
    assert row.split() == ["watcher", "run", "watches", str(third_party / "watcher_plugin.py")]


def test_a_broken_plugin_is_listed_with_its_reason(arena: Arena, workspace: Workspace, third_party: Path) -> None:
    listed = {each["name"]: each for each in json.loads(arena("plugins", "--json").stdout)}
    assert "RuntimeError: no luck" in listed["hopeless_plugin"]["problem"]
    for shown in (arena("plugins"), arena("plugins", "show", "hopeless_plugin")):
        assert shown.exit_code == 0
        assert "hopeless_plugin cannot be used; it comes from others 1.0 (others), module" in shown.stdout
        assert "RuntimeError: no luck" in shown.stdout


def test_one_plugin_is_shown_with_its_settings(arena: Arena, workspace: Workspace) -> None:
    shown = arena("plugins", "show", "pbt").stdout
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line}
    assert rows["population"][:6] == ["population", "int", "4", "at", "least", "2"]
    assert rows["param_space"][:4] == ["param_space", "search_space", "needed", "live"]
    assert rows["mode"][:5] == ["mode", "choice", '"max"', "max,", "min"]
    document = json.loads(arena("plugins", "show", "pbt", "--json").stdout)
    assert document["form"]["properties"]["population"]["minimum"] == 2
    assert document["name"] == "pbt"
    assert {each["name"]: each["default"] for each in document["settings"]}["min_gap"] == 0.1


def test_a_plugin_without_settings_says_so(arena: Arena, workspace: Workspace, third_party: Path) -> None:
    assert "it takes no settings" in arena("plugins", "show", "watcher").stdout


def test_a_plugin_that_is_not_there_is_an_error_with_the_nearest(arena: Arena, workspace: Workspace) -> None:
    shown = arena("plugins", "show", "ptb")
    assert shown.exit_code == 1
    assert "no plugin 'ptb'; did you mean 'pbt'?" in shown.stderr


def test_a_plugin_is_run_on_the_script_of_a_file(
    arena: Arena, spec_file: Path, gateway: GatewayAddress, store: Store
) -> None:
    settings = ["--set", "population=3", "--set", "perturbation_interval=512"]
    space = ["--set", "param_space={learning_rate: {loguniform: [1e-4, 1e-2]}}"]
    result = arena("plugins", "run", "pbt", "--spec", spec_file, *settings, *space)
    assert result.exit_code == 0, result.stderr
    [execution] = store.list_executions()
    assert (execution.plugin, execution.experiment) == ("pbt", "demo")
    assert (execution.settings["population"], execution.spec.flags) == (3, {"total_timesteps": 1000})
    assert len(store.list_runs(execution_id=execution.execution_id)) == 3


def test_the_settings_of_the_file_count_where_it_names_the_same_plugin(
    arena: Arena, plugin_file: Path, gateway: GatewayAddress, store: Store
) -> None:
    assert arena("plugins", "run", "pbt", "--spec", plugin_file, "--detach").exit_code == 0
    assert store.list_executions()[0].settings["perturbation_interval"] == 512
    other = arena("plugins", "run", "hyperparameter_sweeper", "--spec", plugin_file)
    assert other.exit_code == 1
    assert "plugin.settings.param_space: is needed, and has no default" in other.stderr
    assert "population" not in other.stderr


def test_a_wrong_setting_is_told_with_its_option(arena: Arena, spec_file: Path) -> None:
    result = arena("plugins", "run", "pbt", "--spec", spec_file, "--set", "populaton=3")
    assert result.exit_code == 1
    assert "plugin.settings.populaton: there is no such setting; did you mean 'population'?" in result.stderr


def test_a_plugin_is_run_on_a_file_or_an_experiment_not_on_both_or_none(arena: Arena, spec_file: Path) -> None:
    for words in ([], ["--spec", spec_file, "--experiment", "demo"]):
        result = arena("plugins", "run", "pbt", *words)
        assert result.exit_code == 2
        assert "give either --spec FILE or --experiment NAME" in result.stderr


def test_a_plugin_is_run_on_an_experiment(
    arena: Arena, gateway: GatewayAddress, add_run: AddRun, orchestrator: PlayedOrchestrator
) -> None:
    add_run(state=RunState.COMPLETED)
    result = arena("plugins", "run", "pbt", "--experiment", "demo", "--set", "population=2", "--set", "a.b=[1, 2]")
    assert result.exit_code == 0, result.stderr
    assert orchestrator.plugin_settings == {"population": 2, "a": {"b": [1, 2]}}


def test_plugins_that_lie_in_a_folder_are_listed_unless_they_are_refused(arena: Arena, workspace: Workspace) -> None:
    workspace.plugins.mkdir()
    (workspace.plugins / "mine_plugin.py").write_text(THIRD_PARTY.replace("arena_ray.plugin", ".core"))
    assert "watcher" in {each["name"] for each in json.loads(arena("plugins", "--json").stdout)}
    for words in (["plugins", "--no-local-plugins", "--json"], ["plugins", "show", "watcher", "--no-local-plugins"]):
        assert "mine_plugin.py" not in arena(*words).stdout
