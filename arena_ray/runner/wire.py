"""One end of a wire: JSON lines over a socket pair, see docs/reference/wire.md."""

from __future__ import annotations

import json
import queue
import socket
import threading
from contextlib import suppress
from typing import Any

Message = dict[str, Any]


class Wire:
    """Sends messages and queues what the other end says. Threads may share one.

    A thread drains the socket at all times, so that the other end never waits for us, whatever we wait for.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.is_open = True
        self._sending = threading.Lock()
        self._reader = threading.Thread(target=self._drain, name="wire", daemon=True)
        self._reader.start()

    def _drain(self) -> None:
        try:
            with suppress(OSError), self._socket.makefile("rb") as lines:
                for line in lines:
                    # the other process was killed in the middle of a line, or is out to do harm
                    with suppress(ValueError, RecursionError):
                        self._messages.put(json.loads(line))
        finally:
            self._messages.put(None)

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next message, or None after *timeout_s* or at the wire's end (then ``is_open`` is False)."""
        if not self.is_open:
            return None
        try:
            message = self._messages.get(timeout=timeout_s) if timeout_s > 0 else self._messages.get_nowait()
        except queue.Empty:
            return None
        if message is None:
            self.is_open = False
        return message

    def send(self, kind: str, **keys: Any) -> None:
        """Send a command; a peer that is gone is noticed by its exit, not here."""
        with suppress(OSError), self._sending:
            self._socket.sendall(json.dumps({"type": kind, **keys}).encode() + b"\n")

    def close(self) -> None:
        """Close the socket and end the thread."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._reader.join(timeout=1.0)
