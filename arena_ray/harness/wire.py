"""The training process's end of the wire: JSON, one object a line, over the socket that it was handed.

*Source* of the format: docs/reference/wire.md.
"""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import threading
from typing import Any, Callable, Dict

Message = Dict[str, Any]
_CHUNK_BYTES = 65536


def strict(value: Any) -> Any:
    """Return *value* with each number that strict JSON cannot hold replaced by its name."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    return value


def end_process_group() -> None:
    """End this process at once, and its children where it leads a process group of its own."""
    if os.getpgrp() == os.getpid():
        os.kill(0, signal.SIGKILL)
    os._exit(1)  # it shares the group of whoever started it, which must live


class Wire:
    """Sends messages up, and reads the commands that come down on a thread of its own.

    A peer that goes away ends this process and its children: nobody would watch them any more.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(True)
        self._socket.set_inheritable(False)
        self._on_command: Callable[[Message], None] = lambda command: None
        self._lock = threading.Lock()
        self._over = False
        os.register_at_fork(after_in_child=self._leave_to_parent)

    def start(self, on_command: Callable[[Message], None]) -> None:
        """Begin to read; each command goes to *on_command*."""
        self._on_command = on_command
        threading.Thread(target=self._read, name="arena-wire", daemon=True).start()

    def send(self, *messages: Message) -> None:
        """Send *messages* in order; silently nothing once the conversation is over."""
        if self._over or not messages:
            return
        lines = [json.dumps(strict(message), allow_nan=False) + "\n" for message in messages]
        try:
            with self._lock:
                self._socket.sendall("".join(lines).encode())
        except OSError:
            end_process_group()

    def finish(self, *messages: Message) -> None:
        """Send the last *messages*; from now on the peer may go away."""
        self.send(*messages)
        self._over = True

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                chunk = self._socket.recv(_CHUNK_BYTES)
            except OSError:
                chunk = b""
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._receive(line)
        if not self._over:
            end_process_group()

    def _receive(self, line: bytes) -> None:
        try:
            command = json.loads(line)
        except ValueError:
            return  # as with a type we do not know: a newer peer must not break an older trainer
        if isinstance(command, dict):
            self._on_command(command)

    def _leave_to_parent(self) -> None:
        """In a forked child: an environment's worker must neither speak nor keep the socket open."""
        self._over = True
        self._socket.close()
