"""The orchestrator as a Ray actor: detached, on the head, restarted by Ray, rebuilt from the registry."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings
from arena_ray.orchestrator import cluster
from arena_ray.orchestrator.head_actor import ensure_on_head
from arena_ray.scheduling.port import ORCHESTRATOR_NAME

KEEP_INTERVAL_S = 2.0

log = logging.getLogger(__name__)


class OrchestratorActor:
    """A thin shell around :class:`Orchestrator`."""

    def __init__(self, *, home: str, settings: Settings) -> None:
        # Imported here: the process that only starts this actor is not to carry all of it.
        from arena_ray.orchestrator.core import Orchestrator
        from arena_ray.orchestrator.driver_actor import RayDrivers
        from arena_ray.plugin.catalog import Catalog
        from arena_ray.plugin.drop_in import plugin_directories
        from arena_ray.registry.store import Store
        from arena_ray.runner.discovery import load_runners
        from arena_ray.scheduling.plugin_process import start_host
        from arena_ray.serving.serve_endpoints import ServeEndpoints
        from arena_ray.telemetry.hub import Hub

        workspace = Workspace(Path(home))
        runners = load_runners().runners
        timing_tags = frozenset(tag for runner in runners.values() for tag in runner.timing_tags)
        directories = plugin_directories(workspace, settings)
        self._home = home
        self._core = Orchestrator(
            workspace,
            settings=settings,
            store=Store.open(settings.registry_url or workspace.registry_url),
            hub=Hub(workspace, timing_tags=timing_tags),
            runners=runners,
            drivers=RayDrivers(workspace, directories=directories),
            capacity=cluster.capacity,
            plugins=Catalog(directories),
            start_host=partial(start_host, workspace=workspace),
            directories=directories,
            endpoints=ServeEndpoints(settings),
        )
        for task in (self._keep, self._keep_policies):
            threading.Thread(target=task, name=task.__name__, daemon=True).start()

    def _keep(self) -> None:
        while True:
            try:
                self._core.ensure_drivers()
            except Exception:
                log.exception("drivers could not be looked after")
            time.sleep(KEEP_INTERVAL_S)

    def _keep_policies(self) -> None:
        # A thread of its own: Serve takes seconds to start, and drivers are not to wait for it.
        while True:
            try:
                self._core.look_after_policies(timeout_s=KEEP_INTERVAL_S)
            except Exception:
                log.exception("policies could not be looked after")
                time.sleep(KEEP_INTERVAL_S)

    def home(self) -> str:
        """Return the workspace that this orchestrator keeps."""
        return self._home

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a public method of :class:`Orchestrator`, or of one of its parts: ``executions.record``."""
        if any(name.startswith("_") for name in method.split(".")):
            raise AttributeError(method)
        return attrgetter(method)(self._core)(*args, **kwargs)

    def __repr__(self) -> str:
        return "orchestrator"


def ensure_orchestrator(*, home: str, settings: Settings) -> Any:
    """Return the handle of the cluster's orchestrator, started if there is none."""
    return ensure_on_head(OrchestratorActor, ORCHESTRATOR_NAME, max_concurrency=32, home=home, settings=settings)
