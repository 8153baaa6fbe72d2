"""What the tests kill at random of a cluster."""

from __future__ import annotations

import random

import psutil
from cluster_kit import Arena


def victim_of(arena: Arena, kind: str, chance: random.Random) -> psutil.Process | None:
    """Return a process of this kind, if there is one at the moment."""
    if kind.endswith("Actor"):
        found = arena.services(kind)
    else:
        generations = {"training": 0, "guard": 1, "actor": 2}[kind]
        found = arena.trainings()
        for _ in range(generations):
            found = [parent for process in found if (parent := process.parent())]
    return chance.choice(found) if found else None
