"""Experiment drivers as Ray actors: one for each experiment at work, gone when it has nothing left to do."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from arena_ray.model.paths import Workspace, safe_name
from arena_ray.orchestrator import cluster
from arena_ray.scheduling.port import NAMESPACE, RayPort

RESTART_PAUSE_S = 1.0

log = logging.getLogger(__name__)


class DriverActor:
    """Drives one experiment's runs from a thread of its own; a new one begins where this one was."""

    def __init__(self, experiment_id: str, *, home: str, directories: list[str]) -> None:
        self._experiment_id = experiment_id
        self._directories = [Path(each) for each in directories]
        self._workspace = Workspace(Path(home))
        self._news = threading.Event()
        threading.Thread(target=self._drive, name="driver", daemon=True).start()

    def _drive(self) -> None:
        try:
            self._drive_to_the_end()
        except Exception:
            log.exception("driver of experiment %s ends", self._experiment_id)
            time.sleep(RESTART_PAUSE_S)
            # Ray starts another one, unless it has already: then this process is one that it took for dead. To kill
            # the actor would hit the other one, which bears the same id.
            os._exit(1)
        ray.kill(ray.get_runtime_context().current_actor, no_restart=True)

    def _drive_to_the_end(self) -> None:
        # Tune brings pandas and pyarrow: only the process that drives is to carry them.
        from arena_ray.scheduling.arena_scheduler import ArenaScheduler
        from arena_ray.scheduling.driver import ExperimentDriver
        from arena_ray.scheduling.execution import open_execution
        from arena_ray.scheduling.tune_engine import TuneEngine

        engine = TuneEngine.open(
            safe_name(self._experiment_id), storage=self._workspace.tune, scheduler=ArenaScheduler()
        )
        driver = ExperimentDriver(
            self._experiment_id,
            port=RayPort.find(),
            engine=engine,
            news=self._news,
            open_execution=partial(open_execution, workspace=self._workspace, directories=self._directories),
        )
        try:
            driver.run()
        finally:
            engine.close()  # gives back what this driver has reserved, also where another has taken over

    def look(self) -> None:
        """Let the driver look at once at what there is to do."""
        self._news.set()

    def __repr__(self) -> str:
        return f"driver of {self._experiment_id}"


def _away_from_head() -> NodeAffinitySchedulingStrategy | None:
    for node in cluster.describe_cluster().nodes:
        if node.is_alive and not node.is_head:
            return NodeAffinitySchedulingStrategy(node.node_id, soft=True)
    return None


class RayDrivers:
    """Where the orchestrator gets its drivers: detached actors, named after their experiment."""

    def __init__(self, workspace: Workspace, *, directories: Sequence[Path]) -> None:
        self._workspace = workspace
        self._directories = [str(path) for path in directories]

    def ensure(self, experiment_id: str) -> None:
        """Start the experiment's driver if it has none, and let it look at once at what there is to do."""
        options: dict[str, Any] = {
            "name": f"driver-{experiment_id}",
            "namespace": NAMESPACE,
            "lifetime": "detached",
            "get_if_exists": True,
            "max_restarts": -1,
            "num_cpus": 0,
            "scheduling_strategy": _away_from_head(),
        }
        driver = (
            ray.remote(DriverActor)
            .options(**options)
            .remote(experiment_id, home=str(self._workspace.home), directories=self._directories)
        )
        driver.look.remote()
