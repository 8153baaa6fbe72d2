"""Which checkpoint of a run is deployed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from arena_ray.model.errors import NotFound
from arena_ray.model.records import Checkpoint


def select_checkpoint(checkpoints: Sequence[Checkpoint], *, select: str, run: str) -> Checkpoint:
    """Return one of *checkpoints*, which are given furthest in training first.

    Args:
        checkpoints: Those of one run.
        select: ``latest``; or ``best``: the highest ``episodic_return``, the furthest of equal ones, and the latest
            where none was measured.
        run: The run's name, for the error.

    Raises:
        NotFound: There is none.
    """
    if not checkpoints:
        raise NotFound("checkpoint", f"of run {run}")
    measured = [one for one in checkpoints if math.isfinite(one.episodic_return)]
    if select == "latest" or not measured:
        return checkpoints[0]
    return max(measured, key=lambda one: one.episodic_return)
