"""The orchestrator's inside in a fresh workspace. What would be done anew in each test is done once."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from played_endpoints import PlayedEndpoints

from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings
from arena_ray.model.spec import ExperimentSpec
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.registry.store import Store
from arena_ray.runner import preflight
from arena_ray.runner.discovery import load_runners
from arena_ray.runner.inspection import inspect_script
from arena_ray.runner.preflight import Submission
from arena_ray.scheduling.feasibility import NodeCapacity
from arena_ray.telemetry.hub import Hub
from arena_ray.testing.plugins import load_plugins
from arena_runners.cleanrl import runner as cleanrl

RUNNERS = load_runners().runners
PLUGINS = load_plugins()
inspect_once = functools.cache(inspect_script)


@functools.cache
def empty_registry() -> bytes:
    """Return the file of a registry that holds nothing."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "registry.sqlite3"
        Store.open(f"sqlite:///{path}").close()
        return path.read_bytes()


class Drivers:
    """Counts who asked for a driver."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ensure(self, experiment_id: str) -> None:
        self.asked.append(experiment_id)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(cleanrl, "inspect_script", inspect_once)
    workspace = Workspace(tmp_path)
    workspace.registry.parent.mkdir(parents=True)
    workspace.registry.write_bytes(empty_registry())
    return workspace


@pytest.fixture
def drivers() -> Drivers:
    return Drivers()


@pytest.fixture
def open_core(workspace: Workspace, drivers: Drivers) -> Iterator[Callable[..., Orchestrator]]:
    opened: list[tuple[Store, Hub]] = []

    def make(**settings: object) -> Orchestrator:
        store, hub = Store.open(workspace.registry_url), Hub(workspace)
        opened.append((store, hub))
        return Orchestrator(
            workspace,
            settings=Settings.model_validate({"max_lost_attempts": 3} | settings),
            store=store,
            hub=hub,
            runners=RUNNERS,
            drivers=drivers,
            plugins=PLUGINS,
            capacity=lambda: [NodeCapacity("here", cpu=4, gpu=1, memory_gib=8)],
            endpoints=PlayedEndpoints(),
        )

    yield make
    for store, hub in opened:
        store.close()
        hub.close()


@pytest.fixture
def core(open_core: Callable[..., Orchestrator]) -> Orchestrator:
    return open_core()


@pytest.fixture
def submission_of(tmp_path: Path) -> Callable[..., Submission]:
    def make(**changes: object) -> Submission:
        keys = {"experiment": "x", "runner": "cleanrl", "script": "ppo", "env_id": "CartPole-v1"} | changes
        return preflight.prepare(ExperimentSpec.model_validate(keys), base=tmp_path, runners=RUNNERS)

    return make
