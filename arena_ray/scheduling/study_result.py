"""How a study has ended, once all of its runs have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from arena_ray.model.errors import AllRunsFailed
from arena_ray.model.records import Run
from arena_ray.model.states import RunState
from arena_ray.plugin.study import Mode, StudyResult


def require_one_that_did_not_fail(runs: Sequence[Run]) -> None:
    """Check that something has come of the study.

    Raises:
        AllRunsFailed: Every run has failed.
    """
    if all(run.state is RunState.FAILED for run in runs):
        first = (runs[0].reason or "for no known reason").splitlines()[0]
        raise AllRunsFailed(len(runs), first=first)


def result_of(runs: Sequence[Run], scores: Mapping[str, float], *, mode: Mode) -> StudyResult:
    """Return the result of a study whose runs stand each for itself: the best that has not failed.

    Args:
        runs: All of them, ended.
        scores: By the id of the run; NaN where nothing was measured.
        mode: Whether more is better, or less.
    """
    sign = 1.0 if mode == "max" else -1.0
    ended = [run for run in runs if run.state is not RunState.FAILED]
    measured = [run for run in ended if math.isfinite(scores[run.run_id])]
    best = max(measured, key=lambda run: sign * scores[run.run_id], default=None)
    if best is None:
        return StudyResult(best_run_id=None, best_score=math.nan, num_runs=len(runs))
    return StudyResult(
        best_run_id=best.run_id,
        best_score=scores[best.run_id],
        best_hyperparameters=best.hyperparameters,
        num_runs=len(runs),
    )
