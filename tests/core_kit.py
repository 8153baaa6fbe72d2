"""The orchestrator's inside in a fresh workspace. What would be done anew in each test is done once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from played_endpoints import PlayedEndpoints
from registry_kit import write_empty_registry

from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings
from arena_ray.model.spec import ExperimentSpec
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.registry.store import Store
from arena_ray.runner import preflight
from arena_ray.runner.discovery import load_runners
from arena_ray.runner.preflight import Submission
from arena_ray.scheduling.conversation import Host
from arena_ray.scheduling.feasibility import NodeCapacity
from arena_ray.telemetry.hub import Hub
from arena_ray.testing.plugins import load_plugins

RUNNERS = load_runners().runners
PLUGINS = load_plugins()


def no_host(name: str) -> Host:
    raise AssertionError("no plugin looks at revisions here")


class Drivers:
    """Counts who asked for a driver."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ensure(self, experiment_id: str) -> None:
        self.asked.append(experiment_id)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    write_empty_registry(workspace.registry)
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
            start_host=no_host,
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
