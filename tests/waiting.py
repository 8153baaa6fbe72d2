"""Waiting for what other processes do, on machines of which some are slow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil

PATIENCE_S = 240.0
"""How long a slow machine may take for what takes a fast one a few seconds."""


def wait_until(condition: Callable[[], Any], *, timeout_s: float = PATIENCE_S, what: str = "it") -> Any:
    """Return the first true answer of *condition*."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {timeout_s:g} s"
        time.sleep(0.02)
    return answer


def is_alive(pid: int) -> bool:
    """Return whether the process runs; one that has ended and was not waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
