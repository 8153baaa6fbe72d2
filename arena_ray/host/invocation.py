"""One call of a plugin's function: what it is given, and what came of it in plain words."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from arena_ray.host.api import HostedApi
from arena_ray.host.connection import Connection
from arena_ray.host.context import Context
from arena_ray.host.notes import Notes
from arena_ray.model.states import Scope


def invoke(
    function: Callable[..., Any],
    keys: Mapping[str, Any],
    connection: Connection,
    *,
    reports: Path,
    occasion: str = "",
) -> Any:
    """Call the function, and return what it returns.

    Args:
        function: The plugin's.
        keys: What its context holds.
        connection: Where its calls go.
        reports: Where reports on the experiment lie.
        occasion: What the names of its notes begin with.
    """
    context = Context(**keys, connection=connection)
    notes = Notes(connection, scope=context.scope, occasion=occasion)
    if context.scope == Scope.RUN:
        notes.last["run"] = context.target_id
    api = HostedApi(connection, execution_id=context.execution_id, notes=notes, reports=reports)
    return function(context, api)


def spelled(verdict: Any) -> Any:
    """Return what a function says of what it looked at as it goes over the wire: other things than words as text."""
    several = verdict if isinstance(verdict, list | tuple) else [verdict]
    is_plain = all(each is None or isinstance(each, str) for each in several)
    return verdict if is_plain else repr(verdict)


def reason_of(exc: BaseException, origin: str) -> str:
    """Return what was raised, and the line of the plugin's own file where it came out."""
    lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == origin]
    where = f" ({Path(origin).name}, line {lines[-1]})" if lines else ""
    return f"{type(exc).__name__}: {exc}{where}"
