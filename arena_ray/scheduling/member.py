"""The course of one member of a population: its milestones, its exploits, and its part among the others."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import Any

from arena_ray.model.spec import FlagValue


class Part(enum.Enum):
    """What a member has to do with the others."""

    ACTIVE = enum.auto()
    SUSPENDED = enum.auto()
    """Paused by the user: counts and donates, but nobody waits for it."""
    RETIRED = enum.auto()
    """Ended well: counts and donates."""
    DROPPED = enum.auto()


@dataclass
class Standing:
    """What a member had reached at one of its milestones, before any exploit there."""

    milestone: int
    score: float
    checkpoint: Any
    generation: int
    is_measured: bool = True
    """Whether there was anything to score; if not, the member is not compared, and not replaced either."""
    arrival: int = 0
    """Its place in the order in which all members arrived at all milestones, from 1."""
    judged_at: int = 0
    """The milestone at which the member was compared with others when it arrived here; 0 if at none."""

    @property
    def is_finite(self) -> bool:
        """Whether the score is a number."""
        return math.isfinite(self.score)


@dataclass(frozen=True)
class Life:
    """What an exploit makes of a member."""

    milestone: int
    """Where that was; 0 for the life that it begins with."""
    hyperparameters: dict[str, FlagValue]
    score: float = math.nan
    """What the weights were worth; NaN where that is not known."""


@dataclass
class Member:
    """One member; ``lives`` are by generation."""

    key: str
    number: int
    lives: dict[int, Life]
    newest_number: int
    """The newest generation that was ever given, also where that exploit failed."""
    standings: dict[int, Standing] = field(default_factory=dict)
    part: Part = Part.ACTIVE
    waits_at: int | None = None

    @property
    def generation(self) -> int:
        """The number of its newest exploit."""
        return max(self.lives)

    @property
    def exploited_at(self) -> int:
        """The milestone of its newest exploit; 0 before the first."""
        return self.lives[self.generation].milestone

    @property
    def milestone(self) -> int:
        """The newest milestone that it has reached; 0 before the first."""
        return max(self.standings, default=0)

    def generation_at(self, milestone: int) -> int:
        """Return what its generation is when it arrives there: an exploit of that very milestone comes after."""
        return max((g for g, life in self.lives.items() if life.milestone < milestone), default=min(self.lives))

    def hyperparameters(self, generation: int) -> dict[str, FlagValue]:
        """Return those it has in *generation*; the present ones where that is not known."""
        return dict(self.lives.get(generation, self.lives[self.generation]).hyperparameters)

    def life_at(self, standing: Standing) -> Life | None:
        """Return the life that an exploit has begun right there; None where there was none, or it failed."""
        begun = [generation for generation, life in self.lives.items() if life.milestone == standing.milestone]
        return self.lives[max(begun)] if begun else None

    def first_from(self, milestone: int, *, until: float) -> Standing | None:
        """Return its first standing at or beyond *milestone*: whoever jumps over a number has reached it.

        Args:
            milestone: The milestone.
            until: The last arrival that counts.
        """
        reached = [s for s in self.standings.values() if s.milestone >= milestone and s.arrival <= until]
        return min(reached, key=lambda s: s.milestone, default=None)

    def newest_to(self, milestone: int, *, until: float) -> Standing | None:
        """Return its newest standing up to *milestone*; its first one if all are beyond."""
        behind = [s for s in self.standings.values() if s.milestone <= milestone and s.arrival <= until]
        return max(behind, key=lambda s: s.milestone) if behind else self.first_from(milestone, until=until)
