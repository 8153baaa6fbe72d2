"""JSON-lines archives of a run: metrics and log. Appended to by the hub, readable by anyone at any time."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any

from arena_ray.model.events import (
    SCHEMA_VERSION,
    AttemptStarted,
    EpisodeSummary,
    Event,
    LogLine,
    LogPage,
    MetricPoint,
    TookOver,
    TrainingStep,
    decode_number,
    encode_number,
)

_KINDS: dict[str, type[AttemptStarted | TrainingStep | EpisodeSummary | LogLine | TookOver]] = {
    "attempt_started": AttemptStarted,
    "step": TrainingStep,
    "episode": EpisodeSummary,
    "log": LogLine,
    "took_over": TookOver,
}
_NAMES: dict[type, str] = {kind: name for name, kind in _KINDS.items()}
_JSON = json.JSONEncoder(allow_nan=False)


def encode_event(event: Event, *, seq: int, attempt: int) -> dict[str, Any]:
    """Return *event* as its line in the archive."""
    content = {key: _encode(value) for key, value in vars(event).items()}
    return {"schema_version": SCHEMA_VERSION, "seq": seq, "attempt": attempt, "type": _NAMES[type(event)], **content}


def _encode(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: encode_number(number) for key, number in value.items()}
    return encode_number(value) if isinstance(value, float) else value


def decode_event(row: dict[str, Any]) -> Event:
    """Return the event that :func:`encode_event` encoded.

    Raises:
        KeyError, TypeError, ValueError: The row is not such a line.
    """
    kind = _KINDS[row["type"]]
    content = {key: value for key, value in row.items() if key not in ("schema_version", "seq", "attempt", "type")}
    if kind is TrainingStep:
        content["scalars"] = {tag: decode_number(value) for tag, value in content["scalars"].items()}
    if kind is EpisodeSummary:
        for key in ("episodic_return", "episodic_length"):
            content[key] = decode_number(content[key])
    return kind(**content)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of an archive; a torn last line is left out, a broken one in between is skipped."""
    with suppress(FileNotFoundError), path.open("rb") as lines:
        for line in lines:
            with suppress(ValueError):
                row = json.loads(line)
                if line.endswith(b"\n") and isinstance(row, dict):
                    yield row


def live_events(path: Path) -> list[tuple[int, Event]]:
    """Return the metric events of the archive at *path* that no later attempt superseded, each with its attempt."""
    live: list[tuple[int, Event]] = []
    for row in read_rows(path):
        try:
            event = decode_event(row)
        except (KeyError, TypeError, ValueError):
            continue
        if isinstance(event, AttemptStarted):
            live = [(attempt, old) for attempt, old in live if not event.supersedes(old)]
        live.append((row["attempt"], event))
    return live


def points_of(event: Event, *, attempt: int) -> Iterator[MetricPoint]:
    """Yield the values of *event*, one a tag."""
    if isinstance(event, TrainingStep):
        for tag, value in event.scalars.items():
            yield MetricPoint(tag, event.global_step, value, event.wall_time, attempt)


def read_metrics(path: Path) -> list[MetricPoint]:
    """Return every value that counts, in the order in which it was logged."""
    return [point for attempt, event in live_events(path) for point in points_of(event, attempt=attempt)]


def read_log(path: Path, *, after: int = 0, limit: int | None = None) -> LogPage:
    """Return up to *limit* lines after the first *after* ones, all attempts in their order."""
    lines: list[dict[str, Any]] = []
    taken = 0
    with suppress(FileNotFoundError), path.open("rb") as file:
        for raw in islice(file, after, None if limit is None else after + limit):
            if not raw.endswith(b"\n"):
                break
            taken += 1
            with suppress(ValueError):
                row = json.loads(raw)
                lines.append({key: row.get(key) for key in ("seq", "attempt", "stream", "text", "wall_time")})
    return LogPage(lines=tuple(lines), next_after=after + taken)


def read_log_tail(path: Path, count: int) -> list[str]:
    """Return the *count* newest lines, oldest first."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        newest = [raw for raw in deque(file, maxlen=count) if raw.endswith(b"\n")]
        return [str(json.loads(raw).get("text", "")) for raw in newest]
    return []


class ArchiveWriter:
    """Appends rows to one archive. A line that an earlier process left torn is cut off first."""

    def __init__(self, file: FileIO) -> None:
        self._file = file

    @classmethod
    def open(cls, path: Path) -> ArchiveWriter:
        """Open the archive at *path* for appending, made if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b", buffering=0)  # else a write that failed would come once more
        _cut_torn_line(file)
        return cls(file)

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Write *rows*; they survive a crash of this process.

        Raises:
            OSError: The disk is full or gone; nothing of *rows* is left behind.
        """
        end = self._file.seek(0, os.SEEK_END)
        left = memoryview(b"".join(_JSON.encode(row).encode() + b"\n" for row in rows))
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            with suppress(OSError):
                self._file.truncate(end)
            raise

    def sync(self) -> None:
        """Make what was appended survive a crash of the machine."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _cut_torn_line(file: FileIO) -> None:
    end = file.seek(0, os.SEEK_END)
    position = end
    while position > 0:
        start = max(0, position - 65536)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position != end:
        file.truncate(position)
    file.seek(0, os.SEEK_END)
