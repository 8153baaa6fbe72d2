"""Disk space set aside while there is some, so that a run which fills the disk can still be recorded as failed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

RESERVE_BYTES = 1 << 20


class Reserve:
    """The file at *path*: nothing but room for the registry's last words."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self) -> None:
        """Set the space aside where that has not been done. Where there is none, there is none to keep."""
        if not self._path.exists():
            with suppress(OSError):
                self._path.write_bytes(b"\0" * RESERVE_BYTES)

    def release(self) -> bool:
        """Give the space back; return whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
