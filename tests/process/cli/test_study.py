"""``arena run`` of a file that names a plugin, against a gateway that is up; its trainings are played."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lineages import execution_of, lineage_of, member
from unit.cli.played import MANY, wait_for_line
from waiting import wait_until

from arena_ray.cli.study import is_well, pause_and_wait
from arena_ray.model.records import Lineage
from arena_ray.model.states import ExecutionState, RunState
from arena_ray.orchestrator.api import GatewayAddress
from arena_ray.orchestrator.client import ArenaClient
from arena_ray.registry.store import Store

if TYPE_CHECKING:
    from conftest import Arena, PlayedOrchestrator


def states(store: Store) -> tuple[str, list[str]]:
    lineage = store.lineage("race")
    assert lineage.execution is not None
    return lineage.execution.state.value, [run.state.value for run in lineage.runs]


def test_a_plugin_is_watched_to_its_end_and_summed_up(
    arena: Arena, plugin_file: Path, gateway: GatewayAddress, store: Store
) -> None:
    result = arena("run", plugin_file)
    assert result.exit_code == 0, result.stderr
    assert states(store) == ("completed", ["completed", "completed"])
    lines = result.stdout.splitlines()
    assert lines[0] == "will run: plugin pbt with population 2, perturbation_interval 512"
    assert lines[1] == "tuning: learning_rate loguniform [0.0001, 0.01]"
    assert lines[2].startswith("each run: ")
    assert lines[3].split() == ["RANK", "RUN", "STATE", "STEPS", "RETURN", "LEARNING_RATE", "EXPLOITS"]
    assert lines[4].split()[0:2] == ["1", "0"]
    assert "lineage of the best run, run 0:" in lines
    assert "run 0 begins with learning_rate 0.001" in result.stdout
    best = store.lineage("race").runs[0]
    facts = {line.split()[0]: line.split()[-1] for line in lines[-5:]}
    assert (facts["pbt"], facts["best"], facts["checkpoint"]) == ("played", best.name, "-")
    assert facts["TensorBoard"].endswith("/var/training/runs")
    assert facts["printed"].endswith(f"/var/training/executions/{best.execution_id}.log")
    assert "run 1: completed, step 1,000 of 1,000 (100%)" in result.stderr


@pytest.mark.parametrize(
    ("lineage", "well"),
    [
        (lineage_of(member(0, 1.0), member(1, 1.0, RunState.STOPPED)), True),
        (lineage_of(member(0, 1.0), member(1, 1.0, RunState.FAILED)), False),
        (lineage_of(member(0, 1.0), execution=execution_of(ExecutionState.FAILED)), False),
        (lineage_of(member(0, 1.0, RunState.STOPPED), execution=execution_of(ExecutionState.STOPPED)), False),
        (lineage_of(member(0, 1.0, RunState.PAUSED), execution=execution_of(ExecutionState.PAUSED)), False),
    ],
    ids=["a scheduler stopped one", "one failed", "the plugin failed", "stopped", "paused"],
)
def test_all_is_well_where_the_plugin_has_completed_and_no_run_has_failed(lineage: Lineage, well: bool) -> None:
    assert is_well(lineage) is well


def test_where_all_fails_none_is_the_best_the_reason_is_told_and_the_exit_code_is_1(
    arena: Arena, plugin_file: Path, gateway: GatewayAddress, orchestrator: PlayedOrchestrator
) -> None:
    orchestrator.outcome, orchestrator.execution_outcome = RunState.FAILED, ExecutionState.FAILED
    result = arena("run", plugin_file)
    assert result.exit_code == 1
    assert "failed: played" in result.stdout
    assert "no run has completed with a return, so none is the best" in result.stdout


def test_runs_that_differ_in_their_seeds_are_ranked_as_one_configuration(
    arena: Arena, plugin_file: Path, gateway: GatewayAddress, orchestrator: PlayedOrchestrator
) -> None:
    orchestrator.seeds = 2
    lines = arena("run", plugin_file).stdout.splitlines()
    head = next(at for at, line in enumerate(lines) if "IQM OF RETURN" in line)
    assert lines[head].split()[:4] == ["RANK", "LEARNING_RATE", "SEEDS", "MISSING"]
    assert lines[head + 1].split()[:4] == ["1", "0.001", "2", "0"]
    [only] = json.loads(arena("run", plugin_file, "--new", "--json").stdout)["configurations"]
    assert only["seeds"] == [1, 2]


def test_detach_returns_at_once_and_as_json_with_what_the_plugin_does(
    arena: Arena, plugin_file: Path, gateway: GatewayAddress, store: Store, orchestrator: PlayedOrchestrator
) -> None:
    orchestrator.last_step = MANY
    result = arena("run", plugin_file, "--detach")
    assert result.exit_code == 0
    assert states(store)[0] == "running"
    assert "arena lineage race" in result.stdout
    result = arena("run", plugin_file, "--detach", "--json")
    told = json.loads(result.stdout)
    assert told["name"] == "race"
    assert (told["execution"]["plugin"], told["execution"]["state"]) == ("pbt", "running")
    assert [run["member"] for run in told["runs"]] == [0, 1]
    assert told["exploits"] == []
    assert "will run: plugin pbt" in result.stderr


def test_the_same_file_goes_on_with_what_was_paused(
    arena: Arena, plugin_file: Path, gateway: GatewayAddress, store: Store, orchestrator: PlayedOrchestrator
) -> None:
    orchestrator.last_step = MANY
    arena("run", plugin_file, "--detach")
    wait_until(lambda: states(store)[1] == ["running", "running"])
    with ArenaClient(gateway) as client:
        told = pause_and_wait(client, "race")
        assert told.startswith("experiment race is paused with its 2 runs, the furthest at step ")
        assert states(store) == ("paused", ["paused", "paused"])
        assert [each.state for each in client.executions("race")] == ["paused"]
    orchestrator.last_step = 1000
    result = arena("run", plugin_file)
    assert result.exit_code == 0, result.stderr
    assert "going on with the unfinished pbt of experiment race" in result.stderr
    assert states(store) == ("completed", ["completed", "completed"])
    assert len(store.list_executions()) == 1
    with ArenaClient(gateway) as client:  # it has ended
        assert "could not be paused" in pause_and_wait(client, "race")


def test_an_interrupt_on_a_cluster_that_was_up_only_stops_watching(
    arena_process: Callable[..., subprocess.Popen[str]],
    plugin_file: Path,
    gateway: GatewayAddress,
    store: Store,
    orchestrator: PlayedOrchestrator,
) -> None:
    orchestrator.last_step = MANY
    process = arena_process("run", plugin_file)
    wait_for_line(process, ", step ")  # it watches
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "race goes on without being watched; see 'arena lineage race'" in errors
    assert "Traceback" not in errors
    assert states(store)[0] == "running"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{population: 1}", "plugin.settings.population"),
        ("{populaton: 4}", "did you mean 'population'"),
    ],
)
def test_wrong_settings_are_told_before_a_cluster_is_looked_for(
    arena: Arena, plugin_file: Path, settings: str, said: str
) -> None:
    plugin_file.write_text(
        plugin_file.read_text().partition("plugin:")[0] + f"plugin: {{name: pbt, settings: {settings}}}\n"
    )
    result = arena("run", plugin_file)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "will run" not in result.stdout


def test_an_unknown_plugin_is_told_with_the_nearest(arena: Arena, plugin_file: Path) -> None:
    plugin_file.write_text(plugin_file.read_text().replace("name: pbt", "name: pbtt"))
    assert "did you mean 'pbt'" in arena("run", plugin_file).stderr


def test_only_a_training_without_a_plugin_can_be_proved(arena: Arena, plugin_file: Path) -> None:
    result = arena("prove", plugin_file)
    assert result.exit_code == 1
    assert "names the plugin 'pbt'" in result.stderr
