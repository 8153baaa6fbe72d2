"""Services that live on the head: one of each in a cluster, found by name, restarted by Ray."""

from __future__ import annotations

from typing import Any

import ray

from arena_ray.orchestrator import cluster
from arena_ray.scheduling.port import NAMESPACE


def ensure_on_head(service: type, name: str, *, max_concurrency: int, **arguments: Any) -> Any:
    """Return the handle of the actor called *name*, started with *arguments* if there is none.

    Calls to it outlive it: Ray restarts it and repeats them.
    """
    options: dict[str, Any] = {
        "name": name,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "max_restarts": -1,
        "max_task_retries": -1,
        "max_concurrency": max_concurrency,
        "num_cpus": 0,
        "resources": {cluster.HEAD_RESOURCE: 0.001},
    }
    return ray.remote(service).options(**options).remote(**arguments)
