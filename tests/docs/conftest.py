from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from arena_ray.model.paths import Workspace
from arena_ray.orchestrator.api import BASE_PATH, Cluster
from arena_ray.orchestrator.gateway import create_app
from arena_ray.orchestrator.http_server import HttpServer, listen
from arena_ray.orchestrator.reader import RegistryReader
from arena_ray.testing.plugins import load_plugins


@dataclass
class Gateway:
    """The gateway over an empty workspace; whatever is asked of its orchestrator raises *error*."""

    client: httpx.Client
    error: Exception = field(default_factory=LookupError)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    workspace = Workspace(tmp_path_factory.mktemp("arena"))

    def call(*_: Any, **__: Any) -> Any:
        raise found.error

    app = create_app(
        call,
        reader=RegistryReader(workspace),
        token="secret",
        home=str(workspace.home),
        cluster=lambda: Cluster(ray_address="", nodes=[]),
        plugins=lambda: load_plugins().describe(),
    )
    headers = {"Authorization": "Bearer secret"}
    with (
        HttpServer(app, listen("127.0.0.1", 0)) as server,
        httpx.Client(base_url=server.url + BASE_PATH, headers=headers, trust_env=False) as client,
    ):
        found = Gateway(client)
        yield found
