"""Serves an ASGI application from a thread."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI

from arena_ray.model.errors import ClusterUnavailable


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to *port*, or to a free one where that is 0 or taken by another program."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.bind((host, 0))
    return listener


class HttpServer:
    """Serves *app* on *listener* until closed."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._listener = listener
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="http", daemon=True)

    def start(self, *, timeout_s: float) -> None:
        """Start, and return when requests are answered.

        Raises:
            ClusterUnavailable: That did not come true in time.
        """
        self._thread.start()
        deadline = time.monotonic() + timeout_s
        while not self._server.started:
            if time.monotonic() > deadline:
                raise ClusterUnavailable(f"the gateway did not start within {timeout_s:g} s")
            time.sleep(0.02)

    def close(self) -> None:
        """Answer what has been asked, then stop."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def __enter__(self) -> Self:
        self.start(timeout_s=30.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
