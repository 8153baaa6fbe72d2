"""How fast a training is just now."""

from __future__ import annotations

import math
from collections import deque

WINDOW_S = 5.0


class SpeedMeter:
    """Steps a second, over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, step: int, now: float) -> float:
        """Return the speed with *step* reached at *now* (monotonic seconds); NaN where it cannot be told yet."""
        self._seen.append((now, step))
        while now - self._seen[0][0] > WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()
        then, before = self._seen[0]
        return (step - before) / (now - then) if now > then and step >= before else math.nan
