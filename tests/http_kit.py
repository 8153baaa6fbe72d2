"""One HTTP server for all tests of a process: to start and to stop one takes longer than most of them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from arena_ray.orchestrator.http_server import HttpServer, listen


class Exchange:
    """Serves any number of ASGI applications, each under a path of its own."""

    def __init__(self) -> None:
        self._applications: dict[str, Any] = {}
        self._numbers = itertools.count(1)
        self._server = HttpServer(self, listen("127.0.0.1", 0))
        self._server.start(timeout_s=60.0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        _, number, path = scope["path"].split("/", 2)
        await self._applications[number]({**scope, "path": f"/{path}"}, receive, send)

    @contextmanager
    def serving(self, application: Any) -> Iterator[str]:
        """Serve *application*, and give its URL."""
        number = str(next(self._numbers))
        self._applications[number] = application
        try:
            yield f"{self._server.url}/{number}"
        finally:
            del self._applications[number]


@functools.cache
def exchange() -> Exchange:
    """Return the one that this process has."""
    return Exchange()
