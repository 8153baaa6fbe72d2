"""What commands print: tables and figures for people, one JSON document for programs, one line for an error."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from arena_ray.model.errors import ArenaError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from arena_ray.model.records import Run

F = TypeVar("F", bound=Callable[..., Any])

DEBUG = "arena_ray.debug"
"""Key in the context's ``meta``: whether errors show their traceback."""

ABSENT = "-"


def _remember_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[DEBUG] = value


def output_options(command: F) -> F:
    """Give *command* the options of every command: ``--json`` and ``--debug``."""
    debug = click.option(
        "--debug", is_flag=True, expose_value=False, callback=_remember_debug, help="Show the traceback of an error."
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
    return as_json(debug(command))


def report_error(error: BaseException) -> None:
    """Say on standard error what went wrong; an error that we did not raise on purpose says its class too."""
    if isinstance(error, ArenaError):
        click.echo(f"error: {error}", err=True)
    else:
        click.echo(f"error: {type(error).__name__}: {error} (unexpected; --debug shows where)", err=True)


def plain(value: Any) -> Any:
    """Return *value* as strict JSON can hold it: records become objects, NaN and infinities null."""
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_json(value: Any) -> None:
    """Print *value* as the one JSON document of a command."""
    click.echo(json.dumps(plain(value), indent=2, allow_nan=False, default=str))


def merged(record: BaseModel, **more: Any) -> dict[str, Any]:
    """Return the JSON object of *record* with *more* keys."""
    return {**plain(record), **more}


def print_table(rows: Sequence[dict[str, str]], *, empty: str) -> None:
    """Print *rows*, which all have the same keys, as columns; *empty* instead where there are none."""
    if not rows:
        click.echo(empty)
        return
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    for row in [{name: name.upper() for name in rows[0]}, *rows]:
        click.echo("  ".join(row[name].ljust(width) for name, width in widths.items()).rstrip())


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print name and value, one pair a line, the values aligned."""
    pairs = list(facts)
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        click.echo(f"{name.ljust(width)}  {value}")


def figure(value: float | None) -> str:
    """Return a measured number for people: five digits, none after the point from 1000 on, ``-`` for none."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.5g}"


def span(seconds: float) -> str:
    """Return a length of time for people: ``7 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(at: datetime | None) -> str:
    """Return *at* in this machine's time zone, to the second."""
    if at is None:
        return ABSENT
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def printable(text: str) -> str:
    """Return the last thing that *text* would leave on one line of a terminal, without control characters.

    A progress bar redraws itself after a carriage return: only what follows the last one counts.
    """
    last = next((part for part in reversed(text.split("\r")) if part.strip()), "")
    return "".join(char for char in click.unstyle(last) if char.isprintable())


def run_row(run: Run) -> dict[str, str]:
    """Return *run* as a row of a table."""
    return {
        "run": run.name,
        "experiment": run.experiment,
        "state": run.state.value,
        "attempt": str(run.attempt),
        "step": f"{run.global_step:,}",
        "return": figure(run.episodic_return),
        "steps/s": figure(run.steps_per_second),
        "node": (run.node or ABSENT)[:12],
        "reason": (run.reason or ABSENT).splitlines()[0],
    }


def print_notes(notes: Iterable[str]) -> None:
    """Print *notes* on standard error, where they are in nobody's way."""
    for note in notes:
        click.echo(f"note: {note}", err=True)
