"""Which checkpoints of a run are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

from arena_ray.model.records import Checkpoint
from arena_ray.model.spec import CheckpointPolicy


def expendable(checkpoints: Sequence[Checkpoint], policy: CheckpointPolicy) -> list[Checkpoint]:
    """Return those of *checkpoints*, newest first, that *policy* does not keep.

    The final one is always kept. Best is the highest ``episodic_return``; one without a return is never the best.
    """
    latest = list(checkpoints[: policy.keep_latest])
    measured = [checkpoint for checkpoint in checkpoints if not math.isnan(checkpoint.episodic_return)]
    best = sorted(measured, key=lambda checkpoint: checkpoint.episodic_return, reverse=True)[: policy.keep_best]
    kept = {checkpoint.checkpoint_id for checkpoint in (*latest, *best)}
    return [c for c in checkpoints if c.checkpoint_id not in kept and not c.is_final]
