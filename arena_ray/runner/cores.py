"""Cores that trainings have to themselves. Each is held by a lock on a file, which goes with the process that holds it.

The files lie in one folder of the user's, so that clusters on one machine do not give the same core away twice.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from arena_ray.runner.user_folder import make_private

_TOPOLOGY = Path("/sys/devices/system/cpu")


def offered_cores() -> frozenset[int]:
    """Return the cores on which this process may run; none where the system binds no process to cores."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


class Cores:
    """What one training holds, possibly nothing. Made by :meth:`hold`."""

    def __init__(self) -> None:
        self._locks: dict[int, BinaryIO] = {}

    @classmethod
    def hold(cls, cpu: float, *, directory: Path, offered: Collection[int]) -> Cores:
        """Hold *cpu* of the *offered* cores, or nothing: where that is no whole number, or so many are not free.

        Args:
            cpu: What the training reserves, in cores.
            directory: Where the locks lie; made if need be.
            offered: Numbers of cores. Those that share no circuits with each other are taken first.

        Raises:
            OSError: The folder cannot be made, or is not this user's alone.
        """
        if cpu < 1 or cpu != int(cpu):
            return cls()
        make_private(directory)
        held = cls()
        for core in sorted(offered, key=lambda core: (_thread_of(core), -core)):
            if lock := _try_lock(directory / str(core)):
                held._locks[core] = lock
                if len(held._locks) == cpu:
                    return held
        held.close()
        return held

    @property
    def numbers(self) -> list[int]:
        """The cores that are held."""
        return sorted(self._locks)

    def close(self) -> None:
        """Give them back."""
        for lock in self._locks.values():
            lock.close()
        self._locks.clear()


def _try_lock(path: Path) -> BinaryIO | None:
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _thread_of(core: int) -> int:
    """Return which hardware thread of its core this is, counted from 0."""
    with suppress(OSError, ValueError):
        siblings = (_TOPOLOGY / f"cpu{core}" / "topology" / "thread_siblings_list").read_text()
        first = int(siblings.replace("-", ",").split(",")[0])
        return int(core != first)
    return 0
