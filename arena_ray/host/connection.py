"""How a plugin's function asks for things: calls go up, answers and a stop come down."""

from __future__ import annotations

import itertools
import json
import queue
import sys
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from arena_ray.model import errors
from arena_ray.model.errors import ArenaError, PluginMistake, rebuild_error
from arena_ray.plugin.protocol import PluginStopped
from arena_ray.runner.wire import Message, Wire

LOOK_S = 0.5
_HERE = str(Path(__file__).parent)


class Connection(ABC):
    """Asks, one call after the other: each has its number, which is its place in the execution's journal.

    Calls belong to the thread that has made this: calls of several threads would have another order each time.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._thread = threading.get_ident()
        self.stopping = threading.Event()
        self.is_repeating = False
        """Whether the newest answer was one that the function had been given before it began anew."""

    def call(self, method: str, **arguments: Any) -> Any:
        """Return what is answered.

        Raises:
            ArenaError: What was raised instead.
        """
        return self._call(method, arguments, until_stopped=False)

    def call_unless_stopped(self, method: str, **arguments: Any) -> Any:
        """Return what is answered, however long that takes, but not beyond a stop.

        Raises:
            ArenaError: What was raised instead.
            PluginStopped: The user has stopped the plugin.
        """
        return self._call(method, arguments, until_stopped=True)

    def _call(self, method: str, arguments: dict[str, Any], *, until_stopped: bool) -> Any:
        if threading.get_ident() != self._thread:
            raise PluginMistake(
                f"{method} was called in another thread than that of the plugin's function; "
                "calls are written down in their order, which threads do not keep: call the api in one place"
            )
        if until_stopped and self.stopping.is_set():
            raise PluginStopped
        try:
            json.dumps(arguments, allow_nan=False)
        except ValueError as exc:
            raise PluginMistake(f"{method} was given {arguments}: no number may be NaN or infinite") from exc
        call = {"number": next(self._numbers), "method": method, "arguments": arguments, "where": _caller()}
        answer = self._ask(call, until_stopped=until_stopped)
        self.is_repeating = bool(answer.get("is_recorded"))
        if answer.get("error"):
            raise _error(answer["error"])
        return answer["answer"]

    @abstractmethod
    def _ask(self, call: Message, *, until_stopped: bool) -> Message:
        """Return the answer to *call*.

        Raises:
            PluginStopped: The plugin was stopped meanwhile, and *until_stopped* is set.
        """


class WireConnection(Connection):
    """Asks the driver, at the other end of the wire of the plugin's process."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self._answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.begun: queue.SimpleQueue[Message] = queue.SimpleQueue()
        """What the function is called for, again and again, where its scope is run or revision."""

    def serve(self) -> None:
        """Hand over what comes down, until the driver is gone."""
        while self._wire.is_open:
            message = self._wire.receive(LOOK_S)
            if message is None:
                continue
            if message["type"] == "answer":
                self._answers.put(message)
            elif message["type"] == "look":
                self.begun.put(message)
            elif message["type"] == "stop":
                self.stopping.set()

    def tell(self, kind: str, **keys: Any) -> None:
        """Say something that has no answer."""
        self._wire.send(kind, **keys)

    def _ask(self, call: Message, *, until_stopped: bool) -> Message:
        self._wire.send("call", **call)
        while True:
            try:
                answer = self._answers.get(timeout=LOOK_S)
            except queue.Empty:
                if until_stopped and self.stopping.is_set():
                    raise PluginStopped from None
                continue
            if answer["number"] == call["number"]:  # else it is of a call that a stop has cut short
                return answer


def _caller() -> str:
    """Return file and line of the plugin's call."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"


def _error(told: dict[str, str]) -> ArenaError:
    kind = getattr(errors, told["kind"], None)
    is_ours = isinstance(kind, type) and issubclass(kind, ArenaError)
    return rebuild_error(kind if is_ours and kind else ArenaError, told["message"], {})
