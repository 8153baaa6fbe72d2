"""The process of one registration function and its stats writers: ``python -m arena_ray.telemetry.writer_process FD``.

Down the wire come ``begin``, then ``told`` with what the run tells, then ``end``. Up go ``ready``, ``note``, ``bye``.
"""

from __future__ import annotations

import inspect
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from arena_ray.plugin.mlagents import stand_in
from arena_ray.plugin.stats_writer import RunOptions, options_from_data
from arena_ray.plugin.writer_discovery import WriterSource
from arena_ray.runner.wire import Message, Wire
from arena_ray.telemetry.summaries import Gathering, Period
from arena_ray.telemetry.writer_thread import WriterThread, reason


def make_writers(function: Callable[..., Any], options: RunOptions) -> list[Any]:
    """Call a registration function, with the options if it takes an argument, and return its writers.

    Raises:
        TypeError: What it returned is no list of writers.
        BaseException: Whatever it raises itself.
    """
    made = function(options) if _takes_options(function) else function()
    if not isinstance(made, list | tuple):
        raise TypeError(f"it returned {made!r}, which is no list of stats writers")
    for writer in made:
        if isinstance(writer, type) or not callable(getattr(writer, "write_stats", None)):
            raise TypeError(f"it returned {writer!r}, which is no stats writer: it has no method write_stats")
    return list(made)


def _takes_options(function: Callable[..., Any]) -> bool:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    kinds = (*positional, inspect.Parameter.VAR_POSITIONAL)
    return any(each.kind in kinds for each in inspect.signature(function).parameters.values())


class Writers:
    """The writers of one registration function, and what they are told."""

    def __init__(self, made: list[Any], begin: Message, *, say: Callable[[str], None]) -> None:
        category = begin["options"]["checkpoint_settings"]["run_id"]
        origin = begin["source"]["distribution"]
        self._writers = [WriterThread(each, category=category, origin=origin, say=say) for each in made]
        self._gathering = Gathering(begin["summary_steps"], step=begin["step"])

    def tell(self, items: list[list[Any]]) -> None:
        """Pass on what the run tells: hyperparameters, or a step with what was logged there."""
        for kind, *content in items:
            if kind == "hyperparameters":
                for writer in self._writers:
                    writer.set_hyperparameters(content[0])
            else:
                step, values = content
                self._write(self._gathering.add(step, values))
                for writer in self._writers:
                    writer.add(values)

    def _write(self, period: Period | None) -> None:
        if period is not None:
            for writer in self._writers:
                writer.write(period)

    def end(self, deadline: float) -> bool:
        """Pass on what is left; return whether all writers have taken it in before *deadline*."""
        self._write(self._gathering.rest())
        return all([writer.end(deadline) for writer in self._writers])


def _load(begin: Message, say: Callable[[str], None]) -> Writers | None:
    source = WriterSource(**begin["source"])
    made_up: list[str] = []
    try:
        made_up = stand_in()
        made = make_writers(source.load(), options_from_data(begin["options"]))
    except BaseException as exc:  # noqa: BLE001 - somebody else's code runs here, and may even exit
        traceback.print_exc()
        needs = isinstance(exc, ImportError) and "mlagents" in str(exc) and made_up
        hint = "; ML-Agents is not installed, and only the interface of its stats writers is here" if needs else ""
        say(f"stats writer {source} is not used: {reason(exc)}{hint}")
        return None
    return Writers(made, begin, say=say)


def _next(wire: Wire) -> Message:
    while wire.is_open:
        if message := wire.receive(1.0):
            return message
    os._exit(1)  # the run actor is gone: there is nobody left to work for


def main() -> None:
    """Load what the run actor names, and pass on what the run tells until it ends."""
    wire = Wire(socket.socket(fileno=int(sys.argv[1])))
    begin = _next(wire)
    sys.path[:] = dict.fromkeys([*begin["path"], *sys.path])  # ours too: it knows what was installed since

    def say(text: str) -> None:
        wire.send("note", text=text)

    writers = _load(begin, say)
    wire.send("ready")
    is_over = True
    while writers is not None and (message := _next(wire)):
        if message["type"] == "end":
            is_over = writers.end(time.monotonic() + message["timeout_s"])
            break
        writers.tell(message["items"])
    wire.send("bye")
    sys.stdout.flush()
    sys.stderr.flush()
    if not is_over:
        os._exit(0)  # threads of writers that hang


if __name__ == "__main__":
    main()
