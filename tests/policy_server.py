"""A replica of a policy behind plain HTTP in this process: all of the endpoint but Ray Serve."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
from http_kit import exchange
from starlette.requests import Request

from arena_ray.serving.deployment import PolicyReplica, load_policy
from arena_ray.serving.target import ROUTE, Target


def application(replica: PolicyReplica) -> Any:
    """Return *replica* as an ASGI application."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        response = await replica(Request(scope, receive))
        await response(scope, receive, send)

    return answer


class Asking:
    """Asks a replica without any server between."""

    def __init__(self, replica: PolicyReplica) -> None:
        self._transport = httpx.ASGITransport(app=application(replica))

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://played") as http:
                return await http.request(method, path, **options)

        return asyncio.run(ask())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


@contextmanager
def policy_server(target: Target) -> Iterator[str]:
    """Let a replica answer with *target*, and give its URL."""
    replica = PolicyReplica()
    asyncio.run(replica.reconfigure(target.model_dump()))
    with exchange().serving(application(replica)) as url:
        yield f"{url}{ROUTE}/{target.name}"


class LocalEndpoints:
    """Endpoints of policies in this process, over real HTTP."""

    def __init__(self) -> None:
        self._servers: dict[str, ExitStack] = {}
        self._urls: dict[str, str] = {}

    def probe(self, target: Target) -> None:
        load_policy(target)

    def serve(self, target: Target) -> None:
        self.remove(target.name)
        stack = ExitStack()
        self._urls[target.name] = stack.enter_context(policy_server(target))
        self._servers[target.name] = stack

    def remove(self, name: str) -> None:
        self._urls.pop(name, None)
        if name in self._servers:
            self._servers.pop(name).close()

    def url(self, name: str) -> str | None:
        return self._urls.get(name)

    def names(self) -> set[str]:
        return set(self._servers)

    def close(self) -> None:
        for name in self.names():
            self.remove(name)
