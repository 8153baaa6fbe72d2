"""A workspace with a real registry, and the real gateway over it; only the trainings are played by a thread."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from http_kit import exchange
from registry_kit import write_empty_registry
from unit.cli.played import PlayedOrchestrator, progress

from arena_ray.cli.app import arena as arena_command
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import AttemptOutcome, RunState
from arena_ray.orchestrator.api import Cluster, GatewayAddress, Node, write_gateway
from arena_ray.orchestrator.gateway import create_app
from arena_ray.orchestrator.reader import RegistryReader
from arena_ray.registry.store import Store
from arena_ray.testing.plugins import load_plugins

REPOSITORY = Path(__file__).parents[3]
TOKEN = "s3cret-token"
SPEC = """\
experiment: demo
runner: cleanrl
script: ppo
env_id: CartPole-v1
flags: {total_timesteps: 1000}
"""

PLUGIN = """\
plugin:
  name: pbt
  settings: {population: 2, perturbation_interval: 512, param_space: {learning_rate: {loguniform: [1e-4, 1e-2]}}}
"""

Arena = Callable[..., Result]
AddRun = Callable[..., Run]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("ARENA_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return Workspace(tmp_path)


@pytest.fixture
def store(workspace: Workspace) -> Iterator[Store]:
    write_empty_registry(workspace.registry)
    with Store.open(workspace.registry_url) as store:
        yield store


@pytest.fixture
def arena(workspace: Workspace) -> Arena:
    """Run a command in this process."""

    def invoke(*words: object) -> Result:
        return CliRunner().invoke(arena_command, [str(word) for word in words], prog_name="arena")

    return invoke


@pytest.fixture
def arena_process(workspace: Workspace) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command as a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: object, python: tuple[str, ...] = (), **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, *python, "-m", "arena_ray", *(str(word) for word in words)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=REPOSITORY, **(pipes | options)))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def add_run(store: Store) -> AddRun:
    """Queue a run, or bring it into another state."""

    def add(
        experiment: str = "demo", *, seed: int = 1, state: RunState = RunState.QUEUED, reason: str | None = None
    ) -> Run:
        spec = ExperimentSpec(experiment=experiment, runner="cleanrl", script="ppo", env_id="CartPole-v1", seed=seed)
        run, _ = store.submit(spec, flags={"total_timesteps": 1000}, script="ppo", bundle="b" * 64, force_new=True)
        if state is not RunState.QUEUED:
            store.begin_attempt(run.run_id, node="node-a", resumed_from=None)
        if state not in (RunState.QUEUED, RunState.STARTING):
            progress(store, run.run_id, step=500, mean_return=37.5)
        if state not in (RunState.QUEUED, RunState.STARTING, RunState.RUNNING):
            store.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome(state), reason=reason)
            store.move_run(run.run_id, state, attempt=1, reason=reason)
        return store.require_run(run.run_id)

    return add


@pytest.fixture
def orchestrator(store: Store) -> Iterator[PlayedOrchestrator]:
    orchestrator = PlayedOrchestrator(store)
    yield orchestrator
    orchestrator.close()


@pytest.fixture
def gateway(workspace: Workspace, orchestrator: PlayedOrchestrator) -> Iterator[GatewayAddress]:
    """A gateway that is up, found through its address file."""
    node = Node(
        node_id="n1",
        address="10.0.0.1",
        is_alive=True,
        is_head=True,
        cpu=4,
        gpu=1,
        memory_gib=8,
        cpu_free=3,
        gpu_free=1,
    )
    cluster = Cluster(ray_address="10.0.0.1:6379", nodes=[node])
    reader = RegistryReader(workspace)
    app = create_app(
        orchestrator,
        reader=reader,
        token=TOKEN,
        home=str(workspace.home),
        cluster=lambda: cluster,
        plugins=lambda: load_plugins().describe(),
    )
    with exchange().serving(app) as url:
        address = GatewayAddress(
            url=url,
            token=TOKEN,
            pid=os.getpid(),
            ray_address="10.0.0.1:6379",
            home=str(workspace.home),
            started_at=datetime.now(UTC),
        )
        write_gateway(workspace.gateway, address)
        yield address
    reader.close()


@pytest.fixture
def spec_file(workspace: Workspace) -> Path:
    path = workspace.home / "demo.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def plugin_file(spec_file: Path) -> Path:
    """An experiment file that names a plugin."""
    path = spec_file.with_name("race.yaml")
    path.write_text(SPEC.replace("experiment: demo", "experiment: race") + PLUGIN)
    return path
