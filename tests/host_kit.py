"""A plugin's function in a thread instead of a process, over a real wire: what the tests of executions share."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from arena_ray.host.__main__ import run
from arena_ray.host.connection import WireConnection
from arena_ray.runner.process import Exit
from arena_ray.runner.wire import Wire


class ThreadHost:
    """Calls *function* as a plugin's process does. It cannot be killed: what does not end is left behind."""

    def __init__(self, function: Callable[[Any, Any], Any], *, settings: dict[str, Any] | None = None) -> None:
        ours, theirs = socket.socketpair()
        self.wire = Wire(ours)
        self._function = function
        self._settings = settings or {}
        self._theirs = Wire(theirs)
        self.was_killed = False
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        begin = None
        while begin is None and self._theirs.is_open:
            begin = self._theirs.receive(1.0)
        if begin is None:
            return
        connection = WireConnection(self._theirs)
        threading.Thread(target=connection.serve, daemon=True).start()
        run(begin, connection, lambda: (self._function, self._settings))
        self._theirs.close()

    def kill(self) -> None:
        self.was_killed = True
        self._theirs.close()

    def end(self, *, grace_s: float = 0.0) -> Exit:
        self.wire.close()
        return Exit(exit_code=0, signal=9 if self.was_killed else 0)
