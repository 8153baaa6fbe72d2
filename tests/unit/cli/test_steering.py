from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.cli.played import MANY
from waiting import wait_until

from arena_ray.model.states import ExecutionState, Intent, RunState
from arena_ray.orchestrator.api import GatewayAddress
from arena_ray.registry.store import Store

if TYPE_CHECKING:
    from conftest import AddRun, Arena, PlayedOrchestrator


@pytest.mark.parametrize("command", ["stop", "pause", "resume"])
def test_without_a_cluster_a_move_is_refused_with_what_to_do(arena: Arena, add_run: AddRun, command: str) -> None:
    result = arena(command, add_run().name)
    assert result.exit_code == 1
    assert "arena up" in result.stderr


def test_stop_asks_for_the_next_boundary(arena: Arena, add_run: AddRun, gateway: GatewayAddress, store: Store) -> None:
    run = add_run(state=RunState.RUNNING)
    result = arena("stop", run.name)
    assert result.exit_code == 0
    assert result.stdout == f"{run.name}: stopping at its next boundary\n"
    assert store.require_run(run.run_id).intent is Intent.STOP


def test_stop_now_names_the_work_that_is_lost(
    arena: Arena, add_run: AddRun, gateway: GatewayAddress, store: Store
) -> None:
    run = add_run(state=RunState.RUNNING)
    [stopped] = json.loads(arena("stop", run.run_id, "--now", "--json").stdout)
    assert stopped["lost"] == "steps 10 to 20"
    assert stopped["intent"] == "stop_now"
    assert "lost: steps" in arena("stop", run.run_id, "--now").stdout


def test_an_experiment_stands_for_its_runs_that_the_move_concerns(
    arena: Arena, add_run: AddRun, gateway: GatewayAddress, store: Store
) -> None:
    done = add_run("one", state=RunState.COMPLETED)
    paused = add_run("one", seed=2, state=RunState.PAUSED)
    running = add_run("one", seed=3, state=RunState.RUNNING)
    add_run("two", state=RunState.RUNNING)
    assert [run["run_id"] for run in json.loads(arena("pause", "one", "--json").stdout)] == [running.run_id]
    stopped = json.loads(arena("stop", "one", "--json").stdout)
    assert {run["run_id"] for run in stopped} == {paused.run_id, running.run_id}
    assert store.require_run(done.run_id).state is RunState.COMPLETED


def test_a_run_named_twice_is_moved_once(
    arena: Arena, add_run: AddRun, gateway: GatewayAddress, orchestrator: PlayedOrchestrator
) -> None:
    run = add_run(state=RunState.RUNNING)
    arena("pause", run.name, run.run_id[:6])
    assert orchestrator.requests == ["runs.pause"]


def test_a_run_that_refuses_does_not_keep_the_others_from_moving(
    arena: Arena, add_run: AddRun, gateway: GatewayAddress, store: Store
) -> None:
    done = add_run(state=RunState.COMPLETED)
    running = add_run(seed=2, state=RunState.RUNNING)
    result = arena("pause", done.run_id, running.run_id)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: run {done.name} is completed")
    assert store.require_run(running.run_id).intent is Intent.PAUSE


def test_nothing_moves_where_one_of_the_names_is_unknown(
    arena: Arena, add_run: AddRun, gateway: GatewayAddress, store: Store
) -> None:
    running = add_run(state=RunState.RUNNING)
    assert arena("stop", running.run_id, "no-such-run").exit_code == 1
    assert store.require_run(running.run_id).intent is Intent.NONE


def test_resume_queues_a_paused_run(arena: Arena, add_run: AddRun, gateway: GatewayAddress) -> None:
    run = add_run(state=RunState.PAUSED)
    assert arena("resume", "demo").stdout == f"{run.name}: queued\n"


def test_an_experiment_without_a_run_to_move_is_an_error(
    arena: Arena, add_run: AddRun, gateway: GatewayAddress
) -> None:
    add_run(state=RunState.COMPLETED)
    result = arena("resume", "demo")
    assert result.exit_code == 1
    assert "in any run of experiment demo" in result.stderr


def test_an_experiment_moves_as_a_whole_while_its_plugin_is_at_work(
    arena: Arena, plugin_file: Path, gateway: GatewayAddress, store: Store, orchestrator: PlayedOrchestrator
) -> None:
    orchestrator.last_step = MANY
    arena("run", plugin_file, "--detach")
    names = [run.name for run in store.list_runs()]
    wait_until(lambda: all(run.state is RunState.RUNNING for run in store.list_runs()))
    orchestrator.requests.clear()
    lines = arena("pause", "race").stdout.splitlines()
    assert lines[0] == "pbt on race: paused"
    assert {line.partition(":")[0] for line in lines[1:]} == set(names)
    wait_until(lambda: all(run.state is RunState.PAUSED for run in store.list_runs()))
    assert arena("resume", "race").stdout.splitlines()[0] == "pbt on race: running"
    stopped = json.loads(arena("stop", "race", "--json").stdout)
    assert [(run["name"], run["lost"]) for run in stopped] == [(name, None) for name in names]
    assert [each for each in orchestrator.requests if "." in each] == [
        "experiments.pause",
        "experiments.resume",
        "experiments.stop",
    ]
    assert store.list_executions()[0].state is ExecutionState.STOPPED


def test_a_run_of_a_plugin_can_be_moved_alone_and_not_twice_with_its_experiment(
    arena: Arena, plugin_file: Path, gateway: GatewayAddress, store: Store, orchestrator: PlayedOrchestrator
) -> None:
    orchestrator.last_step = MANY
    arena("run", plugin_file, "--detach")
    first, _ = store.list_runs()
    wait_until(lambda: store.require_run(first.run_id).state is RunState.RUNNING)
    orchestrator.requests.clear()
    assert len(json.loads(arena("stop", first.run_id, "--json").stdout)) == 1
    assert len(json.loads(arena("stop", "race", first.run_id, "--json").stdout)) == 2
    assert orchestrator.requests == ["runs.stop", "experiments.stop"]
