"""What had been told of a run before each of its last boundaries: a checkpoint is told of after it was taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from arena_ray.model.events import EpisodeSummary, TookOver, TrainingStep

KEPT = 4096
"""So many boundaries are remembered at which something was told."""

Place = tuple[int, int]
"""A boundary, and the generation there."""

NOWHERE: Place = (-1, 0)


@dataclass(frozen=True)
class Standing:
    """Where a run stands: the digest of its metrics, and its mean return."""

    metrics_digest: str
    episodic_return: float


class Marks:
    """The standings of one run before the first event of each boundary, and of each generation there."""

    def __init__(self) -> None:
        self._marks: deque[tuple[Place, Standing]] = deque(maxlen=KEPT)
        self._newest: Place = NOWHERE
        self._generation = 0
        self._lost: Place = NOWHERE

    def begin(self, *, generation: int, lost: Place = NOWHERE) -> None:
        """Begin anew: an attempt has started, with this generation; nothing is known of places up to *lost*."""
        self._marks.clear()
        self._newest, self._generation, self._lost = lost, generation, lost

    def pass_by(self, event: TrainingStep | EpisodeSummary | TookOver, standing: Callable[[], Standing]) -> None:
        """Take in that *event* is the next one; *standing* returns what was before it."""
        place = (event.boundary, self._generation)
        if place > self._newest:
            if len(self._marks) == KEPT:
                self._lost = self._marks[0][0]
            self._marks.append((place, standing()))
            self._newest = place
        if isinstance(event, TookOver):
            self._generation = event.generation

    def find(self, place: Place) -> Standing | None:
        """Return the standing before anything was told of *place*; None where it is that of now.

        Raises:
            LookupError: It is not known any more.
        """
        if place <= self._lost:
            raise LookupError(place)
        return next((standing for marked, standing in self._marks if marked >= place), None)
