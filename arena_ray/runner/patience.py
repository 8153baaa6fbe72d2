"""How long a training process is waited for: until its main loop, on a stop that it may not hear, and at its end."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum


class Lapse(Enum):
    """What a process has taken too long for."""

    START = "the script reached no main loop in time"
    STOP = "it did not end when it was told to"
    END = "after its main loop nothing more was heard of the script, so it was ended; its last checkpoint is written"


class Patience:
    """The deadlines of one training process.

    Args:
        end_s: Seconds that it may be silent after its main loop: not a metric, not a line.
    """

    def __init__(self, *, end_s: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end_s = end_s
        self._deadline = math.inf
        self._lapse = Lapse.START
        self._printed = 0

    def start_within(self, seconds: float) -> None:
        """Wait so long for its main loop."""
        self._deadline = self._clock() + seconds

    def be_ready(self) -> None:
        """Wait no longer for its main loop: it has come."""
        if self._lapse in (Lapse.START, Lapse.END):  # it may enter its main loop once more
            self._deadline = math.inf

    def stop_within(self, seconds: float) -> None:
        """Wait so long for its end."""
        self._lapse, self._deadline = Lapse.STOP, self._clock() + seconds

    def see_end(self) -> None:
        """Wait for its end from now on, as long as it is heard of."""
        if self._lapse is not Lapse.STOP:
            self._lapse, self._deadline = Lapse.END, self._clock() + self._end_s

    def hear(self) -> None:
        """Note that something was heard of it."""
        if self._lapse is Lapse.END and self._deadline < math.inf:
            self._deadline = self._clock() + self._end_s

    def count(self, printed: int) -> None:
        """Note how many lines it has printed so far."""
        if printed > self._printed:
            self._printed = printed
            self.hear()

    @property
    def lapse(self) -> Lapse | None:
        """What it has taken too long for, or None."""
        return self._lapse if self._clock() > self._deadline else None
