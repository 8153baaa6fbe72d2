"""The console's view of a run: a line for each summary period, as ML-Agents prints it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from arena_ray.plugin.stats_writer import CUMULATIVE_REWARD, StatsSummary, StatsWriter


class ConsoleWriter(StatsWriter):
    """Tells step, time, and mean and spread of the returns.

    Args:
        say: Takes a line.
        clock: Seconds; the first call of it is when the attempt began.
    """

    def __init__(self, say: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._began = clock()

    def write_stats(self, category: str, values: Mapping[str, StatsSummary], step: int) -> None:
        """Say the line of this period."""
        reward = values.get(CUMULATIVE_REWARD)
        told = (
            f"Mean Reward: {reward.mean:.3f}. Std of Reward: {reward.std:.3f}."
            if reward
            else "No episode was completed since last summary."
        )
        self._say(f"Step: {step}. Time Elapsed: {self._clock() - self._began:.3f} s. {told}")
