from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from arena_ray.model.errors import NotFound
from arena_ray.model.records import Checkpoint
from arena_ray.serving.selection import select_checkpoint

MakeCheckpoint = Callable[..., Checkpoint]


@pytest.mark.parametrize(
    ("returns", "best"),
    [([10.0, 30.0, 20.0], 1), ([30.0, 30.0], 0), ([math.nan, 5.0], 1), ([math.nan, math.nan], 0)],
    ids=["highest", "furthest of equal ones", "measured", "latest where nothing was measured"],
)
def test_best_is(make_checkpoint: MakeCheckpoint, returns: list[float], best: int) -> None:
    known = [make_checkpoint(episodic_return=value) for value in returns]
    assert select_checkpoint(known, select="best", run="r") is known[best]
    assert select_checkpoint(known, select="latest", run="r") is known[0]


def test_without_a_checkpoint_nothing_is_selected() -> None:
    with pytest.raises(NotFound, match="of run r"):
        select_checkpoint([], select="best", run="r")
