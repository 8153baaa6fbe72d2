"""Tells on standard error what takes long: a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from rich.status import Status

_PATIENCE_S = 2.0


def is_terminal(stream: IO[str]) -> bool:
    """Whether *stream* is a terminal that can redraw lines."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Progress:
    """Shows the latest step of something slow. On a terminal nothing is shown of what takes less than two seconds."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr
        self._step = "working"
        self._spinner: Status | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if is_terminal(self._stream):
            self._timer = threading.Timer(_PATIENCE_S, self._spin)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            timer, self._timer = self._timer, None
            if timer:
                timer.cancel()
            if self._spinner:
                self._spinner.stop()
                self._spinner = None

    def say(self, step: str) -> None:
        """Show that *step* has begun."""
        with self._lock:
            self._step = step
            if self._spinner:
                self._spinner.update(self._step)
            elif self._timer is None:
                click.echo(step, file=self._stream)

    def _spin(self) -> None:
        from rich.console import Console

        with self._lock:
            if self._timer is not None:  # it has not ended in this very moment
                console: Any = Console(file=self._stream)
                self._spinner = console.status(self._step)
                self._spinner.start()
