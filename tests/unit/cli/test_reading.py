from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from arena_ray.model.paths import Workspace
from arena_ray.model.states import RunState
from arena_ray.orchestrator.api import GatewayAddress
from arena_ray.registry.store import Store

if TYPE_CHECKING:
    from conftest import AddRun, Arena

RUN_KEYS = {
    *("run_id", "name", "experiment", "revision", "runner", "script", "env_id", "seed", "state", "attempt"),
    *("global_step", "episodic_return", "node", "resources", "started_at", "ended_at", "reason"),
}


def add_checkpoint(store: Store, run_id: str, *, step: int, is_final: bool = False) -> None:
    store.add_checkpoint(
        run_id,
        attempt=1,
        boundary=step,
        global_step=step,
        uri=f"/checkpoints/{step}",
        digest="d" * 64,
        policy_digest=f"{step:064d}",
        metrics_digest="m" * 64,
        size_bytes=2_500_000,
        episodic_return=12.0,
        is_final=is_final,
    )


def test_runs_of_an_empty_workspace_are_an_empty_list_and_nothing_is_made(arena: Arena, workspace: Workspace) -> None:
    assert json.loads(arena("runs", "--json").stdout) == []
    assert "arena run FILE" in arena("runs").stdout
    assert json.loads(arena("experiments", "--json").stdout) == []
    assert not workspace.training.exists()


def test_runs_prints_objects_with_every_promised_key(arena: Arena, add_run: AddRun) -> None:
    run = add_run(state=RunState.RUNNING)
    queued = add_run(seed=2)
    result = arena("runs", "--json")
    assert result.exit_code == 0
    listed = {each["run_id"]: each for each in json.loads(result.stdout)}
    assert listed[run.run_id].keys() >= RUN_KEYS
    assert listed[run.run_id]["episodic_return"] == 37.5
    assert listed[queued.run_id]["episodic_return"] is None
    assert listed[run.run_id]["resources"] == {"cpu": 1.0, "gpu": 0.0, "memory_gib": 0.0}


def test_runs_are_told_apart_by_experiment_and_state(arena: Arena, add_run: AddRun) -> None:
    add_run("one", state=RunState.COMPLETED)
    add_run("one", seed=2)
    add_run("two")
    assert len(json.loads(arena("runs", "--experiment", "one", "--json").stdout)) == 2
    assert len(json.loads(arena("runs", "--state", "queued", "--json").stdout)) == 2
    assert len(json.loads(arena("runs", "--experiment", "one", "--state", "completed", "--json").stdout)) == 1


def test_runs_of_an_unknown_experiment_is_an_error_that_names_the_nearest(arena: Arena, add_run: AddRun) -> None:
    add_run("cartpole")
    result = arena("runs", "--experiment", "cartpol")
    assert result.exit_code == 1
    assert "did you mean 'cartpole'" in result.stderr


def test_the_table_of_runs_has_a_line_a_run_with_its_reason(arena: Arena, add_run: AddRun) -> None:
    run = add_run(state=RunState.FAILED, reason="exit code 1\nTraceback")
    header, line = arena("runs").stdout.splitlines()
    assert header.split()[:3] == ["RUN", "EXPERIMENT", "STATE"]
    assert line.startswith(run.name)
    assert "failed" in line
    assert line.endswith("exit code 1")


def test_experiments_says_how_their_runs_stand(arena: Arena, add_run: AddRun) -> None:
    add_run("one", state=RunState.COMPLETED)
    add_run("one", seed=2)
    [experiment] = json.loads(arena("experiments", "--json").stdout)
    assert experiment["name"] == "one"
    assert experiment["runs"] == {"completed": 1, "queued": 1}
    assert "1 completed, 1 queued" in arena("experiments").stdout


def test_show_tells_all_of_a_run(arena: Arena, add_run: AddRun, store: Store) -> None:
    run = add_run(state=RunState.RUNNING)
    add_checkpoint(store, run.run_id, step=400)
    shown = json.loads(arena("show", run.name, "--json").stdout)
    assert shown.keys() >= RUN_KEYS
    assert shown["configuration"]["flags"] == {"total_timesteps": 1000}
    assert [attempt["number"] for attempt in shown["attempts"]] == [1]
    assert [checkpoint["global_step"] for checkpoint in shown["checkpoints"]] == [400]
    assert shown["files"]["tensorboard"].endswith("/tensorboard")
    text = arena("show", run.name).stdout
    assert "total_timesteps=1000" in text
    assert "node-a" in text
    assert "/checkpoints/400" in text


def test_show_finds_a_run_by_the_begin_of_its_id(arena: Arena, add_run: AddRun) -> None:
    run = add_run()
    assert json.loads(arena("show", run.run_id[:8], "--json").stdout)["name"] == run.name


def test_show_tells_an_experiment_with_its_runs(arena: Arena, add_run: AddRun) -> None:
    run = add_run("one")
    shown = json.loads(arena("show", "one", "--json").stdout)
    assert shown["name"] == "one"
    assert [each["run_id"] for each in shown["runs"]] == [run.run_id]
    assert run.name in arena("show", "one").stdout


def test_show_of_what_begins_two_runs_says_so(arena: Arena, add_run: AddRun) -> None:
    add_run("CartPole-study")
    add_run("CartPole-study", seed=2)
    result = arena("show", "CartPole-v1")
    assert result.exit_code == 1
    assert "2 runs" in result.stderr


def test_show_of_a_misspelt_experiment_suggests_it(arena: Arena, add_run: AddRun) -> None:
    add_run("exploration")
    assert "did you mean 'exploration'" in arena("show", "explorashun").stderr


def test_checkpoints_come_furthest_first(arena: Arena, add_run: AddRun, store: Store) -> None:
    run = add_run(state=RunState.RUNNING)
    add_checkpoint(store, run.run_id, step=400)
    add_checkpoint(store, run.run_id, step=500, is_final=True)
    listed = json.loads(arena("checkpoints", run.name, "--json").stdout)
    assert [each["global_step"] for each in listed] == [500, 400]
    lines = arena("checkpoints", run.name).stdout.splitlines()
    assert "500 (final)" in lines[1]
    assert "2.5 MB" in lines[1]


@pytest.mark.parametrize("command", ["show", "logs", "metrics", "checkpoints"])
def test_an_unknown_run_is_one_line_on_standard_error(arena: Arena, store: Store, command: str) -> None:
    result = arena(command, "nothing-like-it", "--json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: no run 'nothing-like-it'")
    assert len(result.stderr.splitlines()) == 1


def test_a_stale_gateway_file_does_not_keep_runs_from_being_listed(
    arena: Arena, add_run: AddRun, workspace: Workspace
) -> None:
    run = add_run()
    workspace.gateway.write_text('{"url": "http://127.0.0.1:9", "token": "t"}')
    assert json.loads(arena("runs", "--json").stdout)[0]["run_id"] == run.run_id


@pytest.mark.parametrize("words", [("runs",), ("experiments",), ("show", "demo"), ("checkpoints", "CartPole-v1")])
def test_the_gateway_answers_as_the_registry_does(
    arena: Arena, add_run: AddRun, workspace: Workspace, gateway: GatewayAddress, words: tuple[str, ...]
) -> None:
    add_run(state=RunState.COMPLETED, reason="done")
    asked = arena(*words, "--json")
    assert asked.exit_code == 0
    workspace.gateway.unlink()
    assert json.loads(asked.stdout) == json.loads(arena(*words, "--json").stdout)
