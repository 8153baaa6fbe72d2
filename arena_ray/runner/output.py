"""Follows the files that take a training process's output and cuts them into lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from arena_ray.model.events import LogLine

MAX_LINE_BYTES = 16_384
READ_BYTES = 1 << 20


class OutputTail:
    """The lines of one stream that have not been seen yet. Longer lines are cut, marked with ``…``.

    Attributes:
        has_more: Whether the last read may have left something.
    """

    def __init__(self, path: Path, *, stream: str) -> None:
        self._path = path
        self._stream = stream
        self._file: BinaryIO | None = None
        self._rest = b""
        self.has_more = False

    def read(self, *, is_last: bool = False) -> Iterator[LogLine]:
        """Yield the next new lines, up to :data:`READ_BYTES` of them; an unfinished one only if *is_last*."""
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except FileNotFoundError:
                return
        chunk = self._file.read(READ_BYTES)
        self.has_more = len(chunk) == READ_BYTES
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        yield from map(self._line, lines)
        if len(self._rest) > MAX_LINE_BYTES:
            yield self._line(self._rest)
            self._rest = b""
        if is_last and self._rest and not self.has_more:
            yield self._line(self._rest)
            self._rest = b""

    def _line(self, raw: bytes) -> LogLine:
        text = raw[:MAX_LINE_BYTES].decode("utf-8", errors="replace").rstrip("\r")
        return LogLine(self._stream, text + ("…" if len(raw) > MAX_LINE_BYTES else ""), time.time())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last *count* lines of the file at *path*; none where there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - count * MAX_LINE_BYTES // 16))
            return file.read().decode("utf-8", errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
