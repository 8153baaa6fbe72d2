"""The newest values of one run, in memory, for whoever looks on."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import islice, takewhile

from arena_ray.model.events import (
    REPORTED_EPISODES,
    AttemptStarted,
    EpisodeSummary,
    Event,
    MetricPoint,
    TookOver,
    TrainingStep,
)
from arena_ray.telemetry.archive import points_of

RING_POINTS = 4096


class Rings:
    """Bounded history of a run: points by tag, and its last episodes.

    What a resumed attempt repeats is dropped when the attempt starts.
    """

    def __init__(self, *, points: int = RING_POINTS) -> None:
        self._capacity = points
        self._points: dict[str, deque[tuple[int, MetricPoint]]] = {}
        self._episodes: deque[EpisodeSummary | TookOver] = deque(maxlen=points)

    def add(self, event: Event, *, attempt: int) -> None:
        """Take in one event."""
        if isinstance(event, AttemptStarted):
            self._supersede(event)
        elif isinstance(event, EpisodeSummary | TookOver):
            self._episodes.append(event)
        elif isinstance(event, TrainingStep):
            for point in points_of(event, attempt=attempt):
                self._points.setdefault(point.tag, deque(maxlen=self._capacity)).append((event.boundary, point))

    def _supersede(self, started: AttemptStarted) -> None:
        for tag, ring in self._points.items():
            kept_points = ((at, point) for at, point in ring if at < started.boundary)
            self._points[tag] = deque(kept_points, maxlen=self._capacity)
        kept = (episode for episode in self._episodes if not started.supersedes(episode))
        self._episodes = deque(kept, maxlen=self._capacity)

    def tags(self) -> list[str]:
        """Return the tags that have been seen."""
        return sorted(self._points)

    def points(self, tag: str, *, last: int | None = None) -> list[MetricPoint]:
        """Return the newest points of *tag*, oldest first; at most *last* of them."""
        points = [point for _, point in self._points.get(tag, ())]
        return points if last is None else points[-last:] if last > 0 else []

    def newest(self, tag: str) -> float | None:
        """Return the newest value of *tag* since the weights were last taken over; None where there is none."""
        taken = next((event.boundary for event in reversed(self._episodes) if isinstance(event, TookOver)), 0)
        ring = self._points.get(tag, ())
        return next((point.value for boundary, point in reversed(ring) if boundary >= taken), None)

    @property
    def has_episodes(self) -> bool:
        """Whether an episode has ended since the weights were last taken over."""
        return bool(self._episodes) and isinstance(self._episodes[-1], EpisodeSummary)

    def episodic_return(self) -> float:
        """Return the mean over the last episodes since the weights were last taken over; NaN where none has ended."""
        own = takewhile(lambda event: not isinstance(event, TookOver), reversed(self._episodes))
        last = [event.episodic_return for event in islice(own, REPORTED_EPISODES) if isinstance(event, EpisodeSummary)]
        return mean(last)


def mean(values: Sequence[float]) -> float:
    """Return the mean; NaN where there is none: no values, infinities of both signs, or a sum that no float holds."""
    try:
        return math.fsum(values) / len(values) if values else math.nan
    except (OverflowError, ValueError):
        return math.nan
