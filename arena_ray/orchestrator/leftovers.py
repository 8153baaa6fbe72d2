"""What a cluster leaves behind when its keeper is killed: some of Ray's agents stay for a minute."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import psutil

DIRECTORY_PREFIX = "arena-ray-"


def clear_leftovers(directory: Path) -> None:
    """Kill every process that has a file open in Ray's *directory*, and remove it; nothing happens to another one."""
    if not directory.name.startswith(DIRECTORY_PREFIX):
        return
    inside = f"{directory}{os.sep}"
    for process in psutil.process_iter():
        # Not by its environment or command line: Ray's processes write their titles over both.
        with suppress(psutil.Error):
            if any(file.path.startswith(inside) for file in process.open_files()):
                process.kill()
    shutil.rmtree(directory, ignore_errors=True)
