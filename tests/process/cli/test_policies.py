"""Policies on the command line: deployed, asked and played with over real HTTP; only Ray Serve is left out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from played_script import Played
from policy_families import PPO_CONTINUOUS
from policy_server import LocalEndpoints
from unit.serving.conftest import DESCRIPTION, changed, make_checkpoint

from arena_ray.model.paths import Workspace
from arena_ray.model.records import Checkpoint, Run
from arena_ray.model.states import AttemptOutcome, RunState
from arena_ray.orchestrator.api import GatewayAddress
from arena_ray.orchestrator.policies import Policies
from arena_ray.registry.store import Store
from arena_ray.runner.graph_export import ExportedGraph, NoGraph

if TYPE_CHECKING:
    from conftest import Arena, PlayedOrchestrator

__all__ = ["make_checkpoint"]
LEVEL = "[0, 0, 0, 0]"


def export(checkpoint: Checkpoint) -> ExportedGraph:
    """Take the place of a process that would make a graph."""
    raise NoGraph("it has a memory")


@pytest.fixture
def policies(workspace: Workspace, store: Store, orchestrator: PlayedOrchestrator) -> Iterator[Policies]:
    endpoints = LocalEndpoints()
    options = {"token": lambda: None, "exporter": export, "removal_patience_s": 5.0}
    orchestrator.policies = Policies(workspace, store=store, endpoints=endpoints, **options)
    is_over = threading.Event()

    def keep() -> None:
        while not is_over.is_set():
            orchestrator.policies.wait_until_due(0.1)
            orchestrator.policies.look_after()

    keeper = threading.Thread(target=keep)
    keeper.start()
    yield orchestrator.policies
    is_over.set()
    keeper.join()
    endpoints.close()


def add_checkpoint(store: Store, run_id: str, found: Checkpoint) -> None:
    known = found.model_dump(include={"uri", "digest", "policy_digest", "metrics_digest", "size_bytes"})
    place = {"boundary": 1, "global_step": 500, "episodic_return": 37.5, "is_final": True}
    store.add_checkpoint(run_id, attempt=1, **known, **place)


@pytest.fixture
def trained(
    policies: Policies, store: Store, add_run: Callable[..., Run], make_checkpoint: Callable[..., Checkpoint]
) -> Callable[..., Run]:
    """Add a run that has completed with one checkpoint."""

    def make(**description: object) -> Run:
        run = add_run(state=RunState.RUNNING)
        add_checkpoint(store, run.run_id, make_checkpoint(**description))
        store.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.COMPLETED)
        return store.move_run(run.run_id, RunState.COMPLETED, attempt=1)

    return make


@pytest.fixture
def deployed(arena: Arena, gateway: GatewayAddress, trained: Callable[..., Run]) -> str:
    result = arena("deploy", trained().run_id, "--name", "cartpole", "--json")
    assert result.exit_code == 0, result.stderr
    return "cartpole"


def test_deploy_waits_until_the_policy_answers_and_tells_where(
    arena: Arena, gateway: GatewayAddress, trained: Callable[..., Run]
) -> None:
    result = arena("deploy", trained().name, "--name", "cartpole")
    assert result.exit_code == 0, result.stderr
    assert re.fullmatch(
        r"policy    cartpole version 1\nendpoint  http://127\.0\.0\.1:\d+/\d+/policies/cartpole\n", result.stdout
    )


def test_a_policy_whose_actions_are_numbers_is_asked_and_played_with_as_any_other(
    arena: Arena, gateway: GatewayAddress, trained: Callable[..., Run], tmp_path: Path
) -> None:
    described, tensors = Played(tmp_path / "script.py", PPO_CONTINUOUS).files()
    arena("deploy", trained(description=described, tensors=tensors).run_id, "--name", "pendulum")
    one = json.loads(arena("act", "pendulum", "[1, 0, 0]", "--json").stdout)["action"]
    assert re.fullmatch(r"\[-?\d\.\d+\]  \(version 1\)\n", arena("act", "pendulum", "[1, 0, 0]").stdout)
    many = json.loads(arena("act", "pendulum", "[[1, 0, 0], [1, 0, 0]]", "--json").stdout)["action"]
    assert many == [one, one]
    assert "NaN" in arena("act", "pendulum", "[1, NaN, 0]").stderr
    played = json.loads(arena("evaluate", "pendulum", "--episodes", "2", "--json").stdout)
    assert (played["env_id"], len(played["returns"])) == ("Pendulum-v1", 2)


def test_deploy_as_json_is_the_version_with_its_endpoint(
    arena: Arena, gateway: GatewayAddress, trained: Callable[..., Run]
) -> None:
    told = json.loads(arena("deploy", trained().run_id, "--name", "p", "--select", "latest", "--json").stdout)
    assert (told["name"], told["version"], told["state"]) == ("p", 1, "serving")
    assert told["url"].endswith("/policies/p")


def test_a_checkpoint_without_a_policy_is_refused_in_one_line(
    arena: Arena, gateway: GatewayAddress, trained: Callable[..., Run]
) -> None:
    described = changed(DESCRIPTION, "policy", None) | {"missing": "a Conv2d cannot be described"}
    result = arena("deploy", trained(description={**described, "environment": None}).run_id, "--name", "p")
    assert result.exit_code == 1
    assert result.stderr.endswith("cannot be used: no policy was exported: a Conv2d cannot be described\n")
    result = arena("deploy", trained(description=described).run_id, "--name", "p")
    assert result.exit_code == 1
    assert result.stderr.endswith("a Conv2d cannot be described; nor can a graph be made of it: it has a memory\n")


def test_one_that_fails_while_it_is_loaded_is_an_error_with_the_reason(
    arena: Arena, gateway: GatewayAddress, trained: Callable[..., Run]
) -> None:
    described = changed(DESCRIPTION, "policy.network.1.weight", "nowhere")
    result = arena("deploy", trained(description=described).run_id, "--name", "p")
    assert result.exit_code == 1
    assert "has no nowhere" in result.stderr


def test_act_tells_the_action_and_the_version(arena: Arena, deployed: str) -> None:
    assert re.fullmatch(r"[01]  \(version 1\)\n", arena("act", deployed, LEVEL).stdout)
    told = json.loads(arena("act", deployed, f"[{LEVEL}, {LEVEL}]", "--json").stdout)
    assert (len(told["action"]), told["version"]) == (2, 1)


def test_act_reads_the_observation_from_standard_input(
    deployed: str, arena_process: Callable[..., subprocess.Popen[str]]
) -> None:
    process = arena_process("act", deployed, "-", "--json", stdin=subprocess.PIPE)
    out, _ = process.communicate(LEVEL)
    assert json.loads(out)["version"] == 1


def test_act_on_what_is_no_observation_says_what_was_expected(arena: Arena, deployed: str) -> None:
    result = arena("act", deployed, "[0, 0, NaN, 0]")
    assert result.exit_code == 1
    expected = "float32 of shape [4], or a batch of shape [n, 4]"
    assert result.stderr == f"error: the policy takes {expected}; got NaN\n"
    assert arena("act", deployed, "zero").exit_code == 2


def test_evaluate_plays_episodes_and_tells_their_returns(arena: Arena, deployed: str) -> None:
    told = json.loads(arena("evaluate", deployed, "--episodes", "3", "--seed", "5", "--json").stdout)
    assert (told["episodes"], told["seed"], told["env_id"], told["versions"]) == (3, 5, "CartPole-v1", [1])
    assert told["min"] <= told["mean"] <= told["max"]
    assert told["mean"] == pytest.approx(sum(told["returns"]) / 3)
    again = json.loads(arena("evaluate", deployed, "--episodes", "3", "--seed", "5", "--json").stdout)
    assert again == told
    lines = arena("evaluate", deployed, "--episodes", "2").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["policy", "version", "environment", "mean return", "least, most"]


def test_evaluate_in_an_environment_that_does_not_fit_says_so(arena: Arena, deployed: str) -> None:
    assert "got shape [20, 2]" in arena("evaluate", deployed, "--env-id", "MountainCar-v0").stderr
    assert "cannot be made" in arena("evaluate", deployed, "--env-id", "Nowhere-v0").stderr


def test_policies_are_listed_with_their_versions_also_while_no_cluster_is_up(
    arena: Arena, deployed: str, workspace: Workspace, trained: Callable[..., Run]
) -> None:
    arena("deploy", trained().run_id, "--name", deployed)
    rows = arena("policies").stdout.splitlines()
    assert rows[0].split() == ["POLICY", "VERSION", "STATE", "ENDPOINT", "CHECKPOINT", "SINCE", "REASON"]
    assert [row.split()[1:3] for row in rows[1:]] == [["2", "serving"], ["1", "replaced"]]
    [told] = json.loads(arena("policies", "--json").stdout)
    workspace.gateway.unlink()
    [offline] = json.loads(arena("policies", "--json").stdout)
    assert offline == told | {"url": None}


def test_undeploy_takes_it_back(arena: Arena, deployed: str) -> None:
    assert arena("undeploy", deployed).stdout == "cartpole version 1 is withdrawn\n"
    assert arena("undeploy", deployed).exit_code == 1
    result = arena("act", deployed, LEVEL)
    assert result.stderr.startswith("error: no deployed policy 'cartpole'")


def test_without_a_cluster_a_policy_cannot_be_asked(arena: Arena, workspace: Workspace) -> None:
    for words in (["act", "p", LEVEL], ["evaluate", "p"], ["deploy", "r", "--name", "p"], ["undeploy", "p"]):
        assert "start one with 'arena up'" in arena(*words).stderr
    assert arena("policies").stdout.startswith("no policies yet")


def test_the_commands_load_neither_ray_nor_torch() -> None:
    modules = "arena_ray.cli.policies, arena_ray.cli.deployment, arena_ray.serving.client, arena_ray.serving.evaluation"
    code = f"import sys, {modules}; print([m for m in ('ray', 'torch') if m in sys.modules])"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"


@pytest.fixture
def deploying_file(
    request: pytest.FixtureRequest,
    policies: Policies,
    gateway: GatewayAddress,
    orchestrator: PlayedOrchestrator,
    store: Store,
    make_checkpoint: Callable[..., Checkpoint],
) -> Path:
    """An experiment file with the key deploy, one run or a plugin's; its runs leave checkpoints that can act."""
    path: Path = request.getfixturevalue(getattr(request, "param", "spec_file"))
    path.write_text(path.read_text() + "deploy: {name: cartpole}\n")
    orchestrator.before_completion = lambda run_id: add_checkpoint(store, run_id, make_checkpoint())
    return path


@pytest.mark.parametrize("deploying_file", ["spec_file", "plugin_file"], indirect=True)
def test_a_run_whose_file_asks_for_it_ends_with_its_policy(arena: Arena, deploying_file: Path) -> None:
    result = arena("run", deploying_file)
    assert result.exit_code == 0, result.stderr
    assert "deploying cartpole" in result.stderr
    told = result.stdout.splitlines()
    names = [line.split("  ")[0] for line in told[-7:-1]]
    assert names == ["policy", "endpoint", "first action", "environment", "mean return", "least, most"]
    assert re.search(r"^first action  [01] for \[[-0-9., e]+\]$", result.stdout, re.MULTILINE)
    assert re.fullmatch(r"ask it: arena act cartpole '\[.*\]'; take it back: arena undeploy cartpole", told[-1])


@pytest.mark.parametrize("deploying_file", ["plugin_file"], indirect=True)
def test_as_json_the_policy_is_a_part_of_the_one_document(arena: Arena, deploying_file: Path, store: Store) -> None:
    told = json.loads(arena("run", deploying_file, "--json").stdout)["policy"]
    assert (told["name"], told["version"], told["state"]) == ("cartpole", 1, "serving")
    assert len(told["evaluation"]["returns"]) == 20
    assert told["run_id"] in {run.run_id for run in store.list_runs()}


def test_where_the_deployment_fails_the_reason_is_told_and_the_exit_code_is_1(
    arena: Arena,
    deploying_file: Path,
    orchestrator: PlayedOrchestrator,
    store: Store,
    make_checkpoint: Callable[..., Checkpoint],
) -> None:
    described = changed(DESCRIPTION, "policy", None) | {"missing": "the script holds no torch module"}
    orchestrator.before_completion = lambda run_id: add_checkpoint(store, run_id, make_checkpoint(described))
    result = arena("run", deploying_file)
    assert result.exit_code == 1
    assert "policy cartpole version 1 was not deployed" in result.stderr
    assert "the script holds no torch module" in result.stderr
