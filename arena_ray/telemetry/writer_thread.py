"""One stats writer: called in a thread of its own, so that one that hangs or raises loses only its own view."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from arena_ray.plugin.mlagents import types_for
from arena_ray.telemetry.summaries import Period, Value

QUEUED = 4_096
"""So many calls may wait for a writer that is slower than the training; what comes on top of them is lost to it."""


class WriterThread:
    """Passes on what a run tells to *writer*, which need not have the optional methods.

    Args:
        writer: Has at least the method ``write_stats``.
        category: What it is told that all this is of.
        origin: The distribution that it comes from.
        say: Takes a note for the run's log.
    """

    def __init__(self, writer: Any, *, category: str, origin: str, say: Callable[[str], None]) -> None:
        self._name = f"{type(writer).__name__} of {origin}"
        self._writer = writer
        self._types = types_for(writer)
        self._category = category
        self._say = say
        self._calls: queue.Queue[Callable[[], None] | None] = queue.Queue(QUEUED)
        self._is_dropped = False
        self._given = self._lost = 0
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def add(self, values: list[Value]) -> None:
        """Tell of single values."""
        self._give(lambda: self._add(values))

    def _add(self, values: list[Value]) -> None:
        method = getattr(self._writer, "on_add_stat", None)
        if method is None:
            return
        for key, value in values:
            method(self._category, key, value, self._types.StatsAggregationMethod.AVERAGE)

    def write(self, period: Period) -> None:
        """Tell of a summary period."""
        self._give(lambda: self._write(period))

    def _write(self, period: Period) -> None:
        average, summary = self._types.StatsAggregationMethod.AVERAGE, self._types.StatsSummary
        values = {key: summary(list(numbers), average) for key, numbers in period.values.items()}
        self._writer.write_stats(self._category, values, period.step)

    def set_hyperparameters(self, hyperparameters: dict[str, Any]) -> None:
        """Tell of the hyperparameters."""
        self._give(lambda: self._set_hyperparameters(dict(hyperparameters)))

    def _set_hyperparameters(self, hyperparameters: dict[str, Any]) -> None:
        method = getattr(self._writer, "add_property", None)
        if method is not None:
            method(self._category, self._types.StatsPropertyType.HYPERPARAMETERS, hyperparameters)

    def _give(self, call: Callable[[], None]) -> None:
        if self._is_dropped:
            return
        self._given += 1
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            if not self._lost:
                self._say(f"stats writer {self._name} is slower than the training: it loses what it cannot take in")
            self._lost += 1

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except BaseException as exc:  # noqa: BLE001 - somebody else's code runs here, and may even exit
                self._is_dropped = True
                traceback.print_exc()
                self._say(f"stats writer {self._name} was dropped: {reason(exc)}")
                return

    def end(self, deadline: float) -> bool:
        """Return whether it has taken in all that was left before *deadline*, of the monotonic clock."""
        with suppress(queue.Full):
            self._calls.put(None, timeout=max(0.0, deadline - time.monotonic()))
        self._thread.join(max(0.0, deadline - time.monotonic()))
        is_over = not self._thread.is_alive()
        lost = self._lost + (0 if is_over or self._is_dropped else self._calls.qsize())
        if not is_over:
            self._say(f"stats writer {self._name} had not come to its end in time")
        if lost:
            self._say(f"stats writer {self._name} has lost {lost} of {self._given} calls")
        return is_over


def reason(exc: BaseException) -> str:
    """Return what was raised, and where it came out."""
    frames = traceback.extract_tb(exc.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(exc).__name__}: {exc}{where}"
