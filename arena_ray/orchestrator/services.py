"""Starts what every cluster needs of ours: the orchestrator and the gateway. Runs inside a Ray driver process."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import ray

from arena_ray.model.settings import Settings
from arena_ray.orchestrator.api import GatewayAddress
from arena_ray.orchestrator.gateway_actor import GATEWAY_NAME, ensure_gateway
from arena_ray.orchestrator.orchestrator_actor import ensure_orchestrator
from arena_ray.scheduling.port import NAMESPACE, ORCHESTRATOR_NAME, RayPort


def ensure_services(*, home: str, settings: Settings) -> GatewayAddress:
    """Return the address of the cluster's gateway; what does not run yet is started, for the workspace *home*.

    A cluster that has an orchestrator already keeps that one's workspace.
    """
    orchestrator = ensure_orchestrator(home=home, settings=settings)
    kept_home = ray.get(orchestrator.home.remote(), timeout=settings.start_timeout_s)
    gateway = ensure_gateway(home=kept_home, settings=settings)
    address: GatewayAddress = ray.get(gateway.address.remote(), timeout=settings.start_timeout_s)
    return address


def remove_services(*, has_policies: bool = False) -> bool:
    """End orchestrator, gateway and drivers of this cluster; return whether there were any. Runs stay resumable.

    With *has_policies* the endpoints of policies too, which a cluster that goes on would keep answering.
    """
    ours = [each["name"] for each in ray.util.list_named_actors(all_namespaces=True) if each["namespace"] == NAMESPACE]
    orchestrator = RayPort.find() if ORCHESTRATOR_NAME in ours else None
    with suppress(ray.exceptions.RayError):
        if orchestrator:
            orchestrator.call("retire")  # else it would start the drivers again
            if has_policies:
                orchestrator.call("policies.take_down")
    for name in set(ours) - {ORCHESTRATOR_NAME, GATEWAY_NAME}:
        _kill(name)
    with suppress(ray.exceptions.RayError):
        if orchestrator:
            orchestrator.call("release_runs")
    for name in (GATEWAY_NAME, ORCHESTRATOR_NAME):
        _kill(name)
    return bool(ours)


def _kill(name: str) -> None:
    with suppress(ValueError):
        handle: Any = ray.get_actor(name, namespace=NAMESPACE)
        ray.kill(handle, no_restart=True)
