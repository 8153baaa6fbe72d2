"""``arena run`` against a gateway that is up. Starting a cluster is tried by the end-to-end tests."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.cli.played import MANY, is_running, wait_for_line
from waiting import wait_until

from arena_ray.cli.run import pause_and_wait
from arena_ray.model.paths import Workspace
from arena_ray.model.states import RunState
from arena_ray.orchestrator.api import GatewayAddress
from arena_ray.orchestrator.client import ArenaClient
from arena_ray.registry.store import Store

if TYPE_CHECKING:
    from conftest import AddRun, Arena, PlayedOrchestrator

ArenaProcess = Callable[..., "subprocess.Popen[str]"]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def test_a_run_is_watched_to_its_end_and_summed_up(
    arena: Arena, spec_file: Path, gateway: GatewayAddress, store: Store
) -> None:
    result = arena("run", spec_file)
    assert result.exit_code == 0
    [run] = store.list_runs()
    assert result.stdout.startswith("will run: ")
    facts = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in result.stdout.splitlines()[1:])
    assert facts["run"] == run.name
    assert facts["state"] == "completed"
    assert facts["reason"] == "played completed"
    assert facts["steps"] == "1,000"
    assert facts["mean return"] == "20"
    assert facts["attempts"] == "1"
    assert facts["TensorBoard"].endswith(f"{run.name}/tensorboard")
    assert {"checkpoint", "policy"} <= facts.keys()
    assert f"{run.name}: completed, attempt 1, step 1,000 of 1,000 (100%)" in result.stderr
    assert not CONTROL.search(result.stdout + result.stderr)


def test_the_command_is_shown_before_anything_starts(arena: Arena, spec_file: Path, workspace: Workspace) -> None:
    spec_file.write_text(spec_file.read_text() + "resources: {cpu: 1}\n")
    workspace.settings.write_text("start_timeout_s = -1\n")  # no cluster can be started with that
    result = arena("run", spec_file)
    assert result.exit_code == 1
    assert re.match(r"will run: \S*python\S* \S*/ppo.py .*--total-timesteps", result.stdout)


@pytest.mark.parametrize("outcome", [RunState.FAILED, RunState.STOPPED, RunState.PAUSED])
def test_the_exit_code_is_1_where_the_run_has_not_completed(
    arena: Arena, spec_file: Path, gateway: GatewayAddress, orchestrator: PlayedOrchestrator, outcome: RunState
) -> None:
    orchestrator.outcome = outcome
    result = arena("run", spec_file)
    assert result.exit_code == 1
    assert f"played {outcome}" in result.stdout


def test_json_prints_the_experiment_with_its_runs_and_nothing_else(
    arena: Arena, spec_file: Path, gateway: GatewayAddress
) -> None:
    result = arena("run", spec_file, "--json", "--seed", 7)
    experiment = json.loads(result.stdout)
    assert experiment["name"] == "demo"
    assert [(run["run_id"], run["seed"], run["state"]) for run in experiment["runs"]] == [
        (experiment["run_id"], 7, "completed")
    ]
    assert "will run: " in result.stderr


def test_set_changes_what_is_run(arena: Arena, spec_file: Path, gateway: GatewayAddress, store: Store) -> None:
    assert arena("run", spec_file, "--set", "total_timesteps=512", "--set", "experiment=other").exit_code == 0
    [run] = store.list_runs(experiment="other")
    revision = store.get_revision(run.revision_id)
    assert revision is not None
    assert revision.flags["total_timesteps"] == 512


def test_detach_returns_at_once(
    arena: Arena, spec_file: Path, gateway: GatewayAddress, store: Store, orchestrator: PlayedOrchestrator
) -> None:
    orchestrator.last_step = MANY
    result = arena("run", spec_file, "--detach")
    assert result.exit_code == 0
    [run] = store.list_runs()
    assert not run.state.is_final
    assert f"arena logs {run.name} -f" in result.stdout


def test_the_unfinished_run_goes_on_and_a_paused_one_is_resumed(
    arena: Arena, spec_file: Path, gateway: GatewayAddress, store: Store, orchestrator: PlayedOrchestrator
) -> None:
    orchestrator.outcome = RunState.PAUSED
    arena("run", spec_file)
    orchestrator.outcome = RunState.COMPLETED
    orchestrator.last_step = 1500
    result = arena("run", spec_file)
    assert result.exit_code == 0
    [run] = store.list_runs()
    assert f"going on with the unfinished run {run.name} (attempt 1)" in result.stderr
    assert (run.state, run.attempt, run.global_step) == (RunState.COMPLETED, 2, 1500)


def test_new_starts_another_run_beside_an_unfinished_one(
    arena: Arena, spec_file: Path, gateway: GatewayAddress, store: Store, orchestrator: PlayedOrchestrator
) -> None:
    orchestrator.outcome = RunState.PAUSED
    arena("run", spec_file)
    orchestrator.outcome = RunState.COMPLETED
    assert arena("run", spec_file, "--new").exit_code == 0
    assert [run.state for run in store.list_runs()] == [RunState.PAUSED, RunState.COMPLETED]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_on_a_cluster_that_was_up_only_stops_watching(
    arena_process: ArenaProcess,
    spec_file: Path,
    gateway: GatewayAddress,
    store: Store,
    orchestrator: PlayedOrchestrator,
    number: int,
) -> None:
    orchestrator.last_step = MANY
    process = arena_process("run", spec_file)
    wait_for_line(process, ", step ")  # it watches
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on without being watched" in errors
    assert "Traceback" not in errors
    assert "runs.pause" not in orchestrator.requests
    assert store.list_runs()[0].state is RunState.RUNNING


def test_on_a_terminal_the_view_redraws_itself(
    arena_process: ArenaProcess, spec_file: Path, gateway: GatewayAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    process = arena_process("run", spec_file, stderr=theirs)
    os.close(theirs)
    shown: list[bytes] = []

    def drain() -> None:
        try:
            while chunk := os.read(ours, 4096):
                shown.append(chunk)
        except OSError:  # the other end is closed
            os.close(ours)

    thread = threading.Thread(target=drain)
    thread.start()
    output, _ = process.communicate(timeout=60)
    thread.join()
    assert process.returncode == 0
    assert b"\x1b[" in b"".join(shown)
    assert b"steps/s" in b"".join(shown)
    assert not CONTROL.search(output)


def test_pausing_waits_for_the_boundary_and_says_where_the_run_stands(
    gateway: GatewayAddress, orchestrator: PlayedOrchestrator, add_run: AddRun, store: Store
) -> None:
    orchestrator.last_step = MANY
    run = orchestrator.runs_resume(add_run(state=RunState.PAUSED).run_id)
    wait_until(is_running(store))
    with ArenaClient(gateway) as client:
        assert pause_and_wait(client, run).startswith(f"{run.name} is paused at step ")
    assert store.require_run(run.run_id).state is RunState.PAUSED


def test_a_run_that_has_just_ended_cannot_be_paused_and_that_is_said(gateway: GatewayAddress, add_run: AddRun) -> None:
    run = add_run(state=RunState.COMPLETED)
    with ArenaClient(gateway) as client:
        assert "could not be paused" in pause_and_wait(client, run)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no experiment file"),
        ("experiment: x\nrunner: cleanrl\nscript: pqo\nenv_id: CartPole-v1\n", "no script 'pqo'"),
        ("experiment: x\nrunner: claenrl\nscript: ppo\nenv_id: CartPole-v1\n", "did you mean 'cleanrl'"),
    ],
)
def test_what_cannot_be_run_is_told_before_a_cluster_is_looked_for(
    arena: Arena, workspace: Workspace, content: str | None, said: str
) -> None:
    path = workspace.home / "x.yaml"
    if content:
        path.write_text(content)
    result = arena("run", path)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not workspace.training.exists()
