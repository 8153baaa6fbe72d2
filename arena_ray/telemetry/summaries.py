"""What was logged, gathered from one summary period to the next."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from arena_ray.model.events import EpisodeSummary, Event, TrainingStep
from arena_ray.plugin.stats_writer import CUMULATIVE_REWARD, EPISODE_LENGTH

Value = tuple[str, float]
"""Key and number."""


@dataclass(frozen=True)
class Period:
    """A summary period that has ended: its values by key, in their order. ``step`` is its end."""

    step: int
    values: dict[str, list[float]]


class Gathering:
    """Gathers values; a period ends at each multiple of *every* steps.

    Args:
        every: Steps of a period.
        step: Where the attempt begins.
    """

    def __init__(self, every: int, *, step: int = 0) -> None:
        self._every = every
        self._step = step
        self._end = self._end_after(step)
        self._values: dict[str, list[float]] = {}
        self._is_empty = True

    def _end_after(self, step: int) -> int:
        return (step // self._every + 1) * self._every

    def add(self, step: int, values: Iterable[Value]) -> Period | None:
        """Take in *values* that were logged at *step*; return the period that this step ends, without them.

        A step that is smaller than an earlier one belongs to the period that has begun.
        """
        ended = None
        if step >= self._end:
            ended, self._end = self._take(self._end), self._end_after(step)
        self._step = max(self._step, step)
        self._is_empty = False
        for key, value in values:
            self._values.setdefault(key, []).append(value)
        return ended

    def rest(self) -> Period | None:
        """Return what the period has that has begun; None where nothing was logged in it."""
        return self._take(self._step)

    def _take(self, step: int) -> Period | None:
        if self._is_empty:
            return None
        taken, self._values, self._is_empty = self._values, {}, True
        return Period(step, taken)


def values_of(event: Event) -> tuple[Value, ...]:
    """Return what *event* tells in numbers; a length that nobody has measured is left out."""
    if isinstance(event, TrainingStep):
        return tuple(event.scalars.items())
    if isinstance(event, EpisodeSummary):
        told = ((CUMULATIVE_REWARD, event.episodic_return), (EPISODE_LENGTH, event.episodic_length))
        return told[:1] if math.isnan(event.episodic_length) else told
    return ()
