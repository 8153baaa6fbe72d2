"""Which configurations get another seed: those that cannot yet be told from the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from arena_ray.model.configurations import interval_of, iqm_of
from arena_ray.plugin.study import SeedRace

Cell = tuple[int, int]
"""A configuration, and which of its seeds: both counted from 0."""


@dataclass(frozen=True)
class Stand:
    """How a race stands: how many seeds each configuration is to have by now."""

    seeds: dict[int, int]
    is_over: bool = False
    is_clear: bool = False
    """Whether the leader's interval overlaps no other one's."""

    @property
    def cells(self) -> list[Cell]:
        """All runs that are wanted by now."""
        return [(entrant, seed) for entrant, count in self.seeds.items() for seed in range(count)]


@dataclass
class Race:
    """A race between configurations, seed by seed.

    It is run anew from the first round on whenever it is asked: the same scores always lead to the same rounds, so
    that nothing of it need be kept.

    Args:
        rules: How many seeds, and how sure.
        entrants: The configurations that take part.
        mode: Whether more is better, or less.
        seed: Of the bootstrap.
    """

    rules: SeedRace
    entrants: Sequence[int]
    mode: str
    seed: int
    _found: dict[tuple[float, ...], tuple[float, float, float]] = field(default_factory=dict)

    def stand(self, scores: Mapping[Cell, float]) -> Stand:
        """Return how the race stands with these scores; NaN is one that will never come."""
        counts = dict.fromkeys(self.entrants, self.rules.min_seeds)
        while all(cell in scores for cell in Stand(counts).cells):
            near = self._near(counts, scores)
            growing = [entrant for entrant in near if counts[entrant] < self.rules.max_seeds] if len(near) > 1 else []
            if not growing:
                return Stand(counts, is_over=True, is_clear=len(near) == 1)
            for entrant in growing:
                counts[entrant] += 1
        return Stand(counts)

    def _near(self, counts: Mapping[int, int], scores: Mapping[Cell, float]) -> list[int]:
        """Return the leader and those whose interval overlaps its own; nobody where nothing can be said of the best."""
        judged = {
            entrant: self._judge(tuple(scores[entrant, seed] for seed in range(count)))
            for entrant, count in counts.items()
        }
        leader = max(judged, key=lambda entrant: judged[entrant][0], default=None)
        if leader is None or math.isinf(judged[leader][0]):
            return []
        _, low, _ = judged[leader]
        return [
            entrant
            for entrant, (_, _, high) in judged.items()
            if entrant == leader or (high >= low and not math.isinf(high))
        ]

    def _judge(self, scores: tuple[float, ...]) -> tuple[float, float, float]:
        """Return interquartile mean and interval, of which more is better."""
        if scores not in self._found:
            sign = 1.0 if self.mode == "max" else -1.0
            low, high = interval_of(scores, sign=sign, confidence=self.rules.confidence, seed=self.seed)
            self._found[scores] = iqm_of(scores, sign=sign), low, high
        return self._found[scores]
