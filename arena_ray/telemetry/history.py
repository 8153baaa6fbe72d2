"""All that a run has logged, read from its archive: once from the beginning, then only what was added."""

from __future__ import annotations

import json
import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import overload

from arena_ray.model.events import AttemptStarted, MetricPoint, TrainingStep
from arena_ray.telemetry.archive import decode_event

Point = tuple[int, float, float]
"""A step, what was logged there, and when, in seconds since 1970."""


def plain(point: MetricPoint) -> Point:
    """Return what *point* says of its tag."""
    return point.global_step, point.value, point.wall_time


class Series(Sequence[Point]):
    """The points of one tag, oldest first, in 32 bytes each."""

    def __init__(self) -> None:
        self._boundaries, self._steps = array("q"), array("q")
        self._values, self._times = array("d"), array("d")

    def __len__(self) -> int:
        return len(self._times)

    @overload
    def __getitem__(self, index: int) -> Point: ...

    @overload
    def __getitem__(self, index: slice) -> list[Point]: ...

    def __getitem__(self, index: int | slice) -> Point | list[Point]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        return self._steps[index], self._values[index], self._times[index]

    def __iter__(self) -> Iterator[Point]:
        return zip(self._steps, self._values, self._times, strict=False)  # one may be added meanwhile

    def add(self, boundary: int, point: Point) -> None:
        """Add a point that was logged after *boundary*; the boundary is never before that of the last one."""
        self._boundaries.append(boundary)
        step, value, time = point
        self._steps.append(step)
        self._values.append(value)
        self._times.append(time)

    def before(self, boundary: int) -> Series:
        """Return another one with the points that were logged before *boundary*."""
        count, shorter = bisect_left(self._boundaries, boundary), Series()
        for column in vars(self):
            setattr(shorter, column, getattr(self, column)[:count])
        return shorter


class History:
    """What the metrics archive at *path* holds. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read_bytes = 0
        self._series: dict[str, Series] = {}

    def read(self) -> dict[str, Series]:
        """Return the values that count, by tag, as far as they are written by now."""
        with self._lock:
            with suppress(FileNotFoundError), self._path.open("rb") as file:
                file.seek(self._read_bytes)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read_bytes += len(line)
                    self._take_in(line)
            return dict(self._series)

    def _take_in(self, line: bytes) -> None:
        try:
            event = decode_event(json.loads(line))
        except (KeyError, TypeError, ValueError):
            return  # as whoever reads the whole archive leaves it out
        if isinstance(event, AttemptStarted):
            self._series = {tag: series.before(event.boundary) for tag, series in self._series.items()}
        elif isinstance(event, TrainingStep):
            for tag, value in event.scalars.items():
                point = event.global_step, value, event.wall_time
                self._series.setdefault(tag, Series()).add(event.boundary, point)
