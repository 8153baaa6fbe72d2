"""The gateway as a Ray actor: serves HTTP on the head and writes down where."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ray

from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings
from arena_ray.orchestrator import cluster
from arena_ray.orchestrator.api import GatewayAddress, get_gateway, write_gateway
from arena_ray.orchestrator.head_actor import ensure_on_head
from arena_ray.scheduling.port import RayPort

GATEWAY_NAME = "gateway"


class GatewayActor:
    """Serves the gateway. Restarted by Ray, it comes back under the same address and token."""

    def __init__(self, *, home: str, settings: Settings) -> None:
        # Imported here: the process that only starts this actor is not to carry a web server.
        from arena_ray.orchestrator.gateway import create_app
        from arena_ray.orchestrator.http_server import HttpServer, listen
        from arena_ray.orchestrator.reader import RegistryReader
        from arena_ray.plugin.catalog import Catalog
        from arena_ray.plugin.drop_in import plugin_directories

        workspace = Workspace(Path(home))
        before = get_gateway(workspace.gateway)
        token = before.token if before else secrets.token_urlsafe(32)
        port = settings.gateway_port or (int(before.url.rsplit(":", 1)[1]) if before else 0)
        app = create_app(
            RayPort.find().call,
            reader=RegistryReader(workspace, registry_url=settings.registry_url),
            token=token,
            home=home,
            cluster=cluster.describe_cluster,
            plugins=lambda: Catalog(plugin_directories(workspace, settings)).describe(),
        )
        self._server = HttpServer(app, listen(settings.gateway_host, port))
        self._server.start(timeout_s=settings.start_timeout_s)
        self._address = GatewayAddress(
            url=self._server.url,
            token=token,
            pid=os.getpid(),
            ray_address=ray.get_runtime_context().gcs_address,
            home=home,
            started_at=datetime.now(UTC),
        )
        write_gateway(workspace.gateway, self._address)

    def address(self) -> GatewayAddress:
        """Return where the gateway listens."""
        return self._address

    def __repr__(self) -> str:
        return "gateway"


def ensure_gateway(*, home: str, settings: Settings) -> Any:
    """Return the handle of the cluster's gateway, started if there is none."""
    return ensure_on_head(GatewayActor, GATEWAY_NAME, max_concurrency=4, home=home, settings=settings)
