"""Folders that belong to one user of a node: what several clusters on it share, and no other user may touch."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def folder_of_this_user(kind: str) -> Path:
    """Return where this user's folder of that *kind* lies on this node, whether it exists or not."""
    return Path(tempfile.gettempdir()) / f"arena-{kind}-{os.getuid()}"


def make_private(directory: Path) -> None:
    """Make *directory* where it is missing, and see that only this user may use it.

    Raises:
        PermissionError: It belongs to somebody else, or others may use it.
        OSError: It cannot be made.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{directory} is not this user's alone; remove it")
