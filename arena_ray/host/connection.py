"""The wire between a plugin's process and its driver: calls go up, answers and a stop come down."""

from __future__ import annotations

import itertools
import queue
import threading
from typing import Any

from arena_ray.model import errors
from arena_ray.model.errors import ArenaError, rebuild_error
from arena_ray.plugin.protocol import PluginStopped
from arena_ray.runner.wire import Message, Wire

LOOK_S = 0.5


class Connection:
    """Asks the driver. Threads of the plugin may share one."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[Message]] = {}
        self.stopping = threading.Event()

    def serve(self) -> None:
        """Hand over what comes down, until the driver is gone."""
        while self._wire.is_open:
            message = self._wire.receive(LOOK_S)
            if message is None:
                continue
            if message["type"] == "answer" and (waiting := self._answers.pop(message["id"], None)):
                waiting.put(message)
            elif message["type"] == "stop":
                self.stopping.set()

    def tell(self, kind: str, **keys: Any) -> None:
        """Say something that has no answer."""
        self._wire.send(kind, **keys)

    def call(self, method: str, **keys: Any) -> Any:
        """Return what the driver answers.

        Raises:
            ArenaError: What the driver raised.
        """
        return self._call(method, keys, until_stopped=False)

    def call_unless_stopped(self, method: str, **keys: Any) -> Any:
        """Return what the driver answers, however long that takes, but not beyond a stop.

        Raises:
            ArenaError: What the driver raised.
            PluginStopped: The user has stopped the plugin.
        """
        return self._call(method, keys, until_stopped=True)

    def _call(self, method: str, keys: dict[str, Any], *, until_stopped: bool) -> Any:
        if until_stopped and self.stopping.is_set():
            raise PluginStopped
        number, waiting = next(self._numbers), queue.SimpleQueue[Message]()
        self._answers[number] = waiting
        self._wire.send("call", id=number, method=method, keys=keys)
        while True:
            try:
                answer = waiting.get(timeout=LOOK_S)
            except queue.Empty:
                if until_stopped and self.stopping.is_set():
                    raise PluginStopped from None
                continue
            if "error" in answer:
                raise _error(answer["error"])
            return answer["result"]


def _error(told: dict[str, str]) -> ArenaError:
    kind = getattr(errors, told["kind"], None)
    is_ours = isinstance(kind, type) and issubclass(kind, ArenaError)
    return rebuild_error(kind if is_ours and kind else ArenaError, told["message"], {})
