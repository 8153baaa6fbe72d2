"""What a population has learned by its milestones: which hyperparameters have gained how much, on which weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from arena_ray.scheduling.member import Life, Member, Standing
from arena_ray.scheduling.pb2 import Outset, Stretch


def stretches(members: Iterable[Member], *, sign: float, is_known: Callable[[Standing], bool]) -> list[Stretch]:
    """Return all stretches from a milestone to the member's next one, of the standings that are known.

    Args:
        members: The population.
        sign: -1 where less is better.
        is_known: Whether a standing counts.
    """
    found = []
    for member in members:
        known = sorted(filter(is_known, member.standings.values()), key=lambda standing: standing.milestone)
        for before, after in pairwise(known):
            life = member.lives.get(after.generation)
            if life is not None:  # else that exploit was revoked later, and nobody knows what was trained with
                begin = outset(before, life, sign=sign)
                gain = (sign * after.score - begin.score) / (after.milestone - before.milestone)
                found.append(Stretch(begin, gain))
    return found


def outset(standing: Standing, life: Life, *, sign: float) -> Outset:
    """Return how a member went on from *standing* in *life*: with other weights, if that has begun there."""
    has_begun_here = life.milestone == standing.milestone
    return Outset(standing.milestone, sign * (life.score if has_begun_here else standing.score), life.hyperparameters)
