"""Sends a small body along with its request, from Serve's proxy to the replica.

Serve hands the replica a request without its body, which the replica then fetches from the proxy: another call
between two processes, which takes as long as all else. An observation is small, and the proxy has it at hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.middleware import Middleware

from arena_ray.serving.target import ROUTE

BODY = "arena_ray.body"
"""Key of the scope that holds the body."""

ENVIRONMENT = {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "arena_ray.serving.body_first.middlewares"}
"""For the processes of a Ray cluster whose proxies are to use it. Without it, replicas fetch the bodies."""

LARGEST_BYTES = 64 << 10

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[MutableMapping[str, Any], Receive, Any], Awaitable[None]]


def middlewares() -> list[Middleware]:
    """Return what Serve's proxy is to use: it asks for it where :data:`ENVIRONMENT` is in its environment."""
    return [Middleware(BodyFirst)]


class BodyFirst:
    """An ASGI middleware of Serve's proxy; it touches only small requests to policies."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Any) -> None:
        """Pass the request on, with its body where that is small and complete."""
        if not _is_small_question(scope):
            return await self._app(scope, receive, send)
        first = await receive()
        if first["type"] == "http.request" and not first.get("more_body", False):
            scope[BODY] = first.get("body", b"")
        pending: list[Message] = [first]

        async def again() -> Message:
            return pending.pop() if pending else await receive()

        return await self._app(scope, again, send)


def _is_small_question(scope: MutableMapping[str, Any]) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(f"{ROUTE}/"):
        return False
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return length.isdigit() and int(length) <= LARGEST_BYTES
