"""Runs one plugin's function: ``python -m arena_ray.host FD``. What to run comes down the wire."""

from __future__ import annotations

import inspect
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from arena_ray.host.connection import WireConnection
from arena_ray.host.invocation import invoke, reason_of, spelled
from arena_ray.model.paths import Workspace
from arena_ray.model.states import Scope
from arena_ray.plugin.catalog import LOAD_TIMEOUT_S, Catalog
from arena_ray.plugin.discovery import find_source
from arena_ray.plugin.protocol import PluginStopped
from arena_ray.plugin.registration import Plugin
from arena_ray.plugin.schema import check_settings
from arena_ray.runner.wire import Message, Wire

Found = tuple[Callable[..., Any], Mapping[str, Any]]
"""A plugin's function, and its settings."""


def run(begin: Message, connection: WireConnection, find: Callable[[], Found]) -> None:
    """Call the plugin's function and tell how it ended; one that looks at something, again and again.

    Args:
        begin: What the driver said of the execution.
        connection: Where its calls go.
        find: Returns the function and its settings.
    """
    connection.is_repeating = bool(begin.get("has_journal"))
    origin = ""
    try:
        function, settings = find()
        origin = inspect.unwrap(function).__code__.co_filename
        if begin["context"]["scope"] == Scope.EXPERIMENT:
            invoke(function, {**begin["context"], "settings": settings}, connection, reports=_reports(begin["context"]))
        else:
            _look(function, {**begin["context"], "settings": settings}, connection, origin=origin)
    except BaseException as exc:  # noqa: BLE001 - somebody else's code runs here, and may even exit
        is_stopped = isinstance(exc, PluginStopped) and connection.stopping.is_set()
        outcome = {"outcome": "stopped"} if is_stopped else {"outcome": "failed", "reason": reason_of(exc, origin)}
        connection.tell("ended", **outcome)
        if not is_stopped:
            traceback.print_exc()
    else:
        connection.tell("ended", outcome="returned")


def _look(function: Callable[..., Any], keys: dict[str, Any], connection: WireConnection, *, origin: str) -> None:
    """Call the function for each thing that it is to look at, and tell what it says of it, until the wire is closed."""
    while (look := connection.begun.get()) is not None:
        try:
            context, occasion = keys | look["context"], look["occasion"]
            verdict = invoke(function, context, connection, reports=_reports(context), occasion=occasion)
        except BaseException as exc:  # noqa: BLE001 - as in run
            traceback.print_exc()
            connection.tell("looked", look=look["look"], failure=reason_of(exc, origin))
        else:
            connection.tell("looked", look=look["look"], verdict=spelled(verdict))


def _reports(context: Mapping[str, Any]) -> Path:
    return Workspace(Path.cwd()).reports(context["experiment"])  # the driver has started us in the workspace


def find_plugin(begin: Message, *, timeout_s: float = LOAD_TIMEOUT_S) -> Found:
    """Return the plugin's function and its settings. Nothing is loaded but the source that has it.

    Raises:
        SpecError: It is not there any more, or does not take these settings.
    """
    context, directories = begin["context"], [Path(each) for each in begin["directories"]]
    name, scope = context["plugin_name"], Scope(context["scope"])
    source = find_source(Catalog(directories, timeout_s=timeout_s).require(name, scope=scope).source, directories)
    [plugin] = [each for each in source.load() if isinstance(each, Plugin) and each.name == name]
    return plugin.function, check_settings(plugin.schema, begin["settings"], place=f"plugin {plugin.name}")


def _serve(connection: WireConnection) -> None:
    connection.serve()
    os._exit(1)  # the driver is gone: there is nobody left to work for


def main() -> None:
    """Run what the driver names, then end at once, whatever threads are left."""
    wire = Wire(socket.socket(fileno=int(sys.argv[1])))
    begin = None
    while begin is None and wire.is_open:
        begin = wire.receive(1.0)
    if begin is None:
        os._exit(1)
    connection = WireConnection(wire)
    threading.Thread(target=_serve, args=(connection,), name="connection", daemon=True).start()
    run(begin, connection, lambda: find_plugin(begin))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
