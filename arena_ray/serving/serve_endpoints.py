"""Endpoints on Ray Serve: one application for each policy. The only module that touches Serve's own interface."""

from __future__ import annotations

import socket
import time
from http import HTTPStatus
from typing import Any

import httpx
import ray

from arena_ray.model.errors import ArenaError, EndpointUnavailable, PolicyUnusable
from arena_ray.model.settings import Settings
from arena_ray.serving.target import ROUTE, Target

_APPLICATION = "policy-"
_POLL_S = 0.05
_MOST_AT_ONCE = 256  # requests inside a replica; its computation is short and runs one after the other anyway
_CODE_VERSION = "1"


class ServeEndpoints:
    """Endpoints on the Ray cluster that this process is connected to."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._base: str | None = None

    def probe(self, target: Target) -> None:
        """Load and try a version in a short task of Ray's.

        Raises:
            PolicyUnusable: It cannot be read, or does not act.
            EndpointUnavailable: The task did not run.
        """
        try:
            ray.get(
                ray.remote(_probe).options(num_cpus=0, max_retries=2).remote(target),
                timeout=self._settings.start_timeout_s,
            )
        except ray.exceptions.RayTaskError as exc:
            if isinstance(exc.cause, ArenaError):
                raise exc.cause from None
            raise PolicyUnusable(target.root, reason=f"it fails: {exc.cause}") from exc
        except (ray.exceptions.RayError, TimeoutError) as exc:
            raise EndpointUnavailable(f"{target.name} could not be probed: {exc}") from exc

    def serve(self, target: Target) -> None:
        """Have the name answer with *target*, and return when it does.

        Raises:
            EndpointUnavailable: It does not in time; what answered before goes on.
        """
        # Imported here: an orchestrator without a policy is not to carry all of Serve.
        from ray import serve

        from arena_ray.serving.deployment import PolicyReplica

        options: dict[str, Any] = {
            "num_replicas": 1,
            "max_ongoing_requests": _MOST_AT_ONCE,
            "ray_actor_options": {"num_cpus": 0},
            "user_config": target.model_dump(),
            "health_check_period_s": 2,
            "graceful_shutdown_timeout_s": 2,
        }
        deployment = serve.deployment(PolicyReplica).options(name="policy", **options)
        # with a version of its own Serve takes every call for new code, and would start another replica
        application = deployment.options(version=_CODE_VERSION, _internal=True).bind()
        try:
            self._start()
            serve.run(application, name=_APPLICATION + target.name, route_prefix=f"{ROUTE}/{target.name}")
            self._await(target)
        except EndpointUnavailable:
            raise
        except Exception as exc:
            raise EndpointUnavailable(f"Ray Serve did not bring {target.name} up: {exc}") from exc

    def remove(self, name: str) -> None:
        """Answer for *name* no more; nothing happens where nobody does."""
        from ray import serve

        if _is_running():
            serve.delete(_APPLICATION + name)

    def names(self) -> set[str]:
        """Return the policies that answer, or are about to; Serve is not started for it."""
        from ray import serve

        if not _is_running():
            return set()
        ours = (name for name in serve.status().applications if name.startswith(_APPLICATION))
        return {name.removeprefix(_APPLICATION) for name in ours}

    def url(self, name: str) -> str | None:
        """Return where *name* would answer, or None before anything was served."""
        return f"{self._base}{ROUTE}/{name}" if self._base else None

    def _start(self) -> None:
        """Start Serve where it does not run yet; one that runs keeps its address."""
        from ray import serve
        from ray.serve.config import HTTPOptions

        if self._base is not None:
            return
        host, port = self._settings.serve_host, self._settings.serve_port
        port = port or _free_port(host)
        serve.start(proxy_location="HeadOnly", http_options=HTTPOptions(host=host, port=port))
        config = serve.context._get_global_client().http_config
        reachable = ray.util.get_node_ip_address() if config.host in ("0.0.0.0", "::") else config.host
        self._base = f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{config.port}"

    def _await(self, target: Target) -> None:
        """Wait until the replica says that it answers with *target*, and its proxy passes requests on."""
        from ray import serve

        handle = serve.get_app_handle(_APPLICATION + target.name)
        deadline = time.monotonic() + self._settings.start_timeout_s
        while True:
            standing = handle.standing.remote().result(timeout_s=self._settings.start_timeout_s)
            if standing.version == target.version and self._is_answered(target.name):
                return
            if standing.refused == target.version:
                raise EndpointUnavailable(f"{target.name} version {target.version} failed: {standing.reason}")
            if time.monotonic() > deadline:
                raise EndpointUnavailable(
                    f"nothing answers for {target.name} version {target.version} at {self.url(target.name)} within "
                    f"{self._settings.start_timeout_s:g} s (its replica has version {standing.version}); "
                    "is the port of the setting serve_port taken?"
                )
            time.sleep(_POLL_S)

    def _is_answered(self, name: str) -> bool:
        """Return whether the proxy knows the policy: it learns of it some time after the replica is there."""
        try:
            reply = httpx.get(self.url(name) or "", timeout=5.0, trust_env=False)
        except httpx.TransportError:
            return False
        return reply.status_code in (HTTPStatus.OK, HTTPStatus.UNAUTHORIZED)


def _is_running() -> bool:
    from ray import serve

    return serve.context._get_global_client(raise_if_no_controller_running=False) is not None


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.bind((host, 0))
        port: int = listener.getsockname()[1]
        return port


def _probe(target: Target) -> None:
    from arena_ray.serving.deployment import load_policy

    load_policy(target)
