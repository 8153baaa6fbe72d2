"""How much each hyperparameter has to do with what was reached."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from arena_ray.model.records import Measure, Record


class Importance(Record):
    """Shares of the hyperparameters, which add up to 1, the largest first; empty where nothing can be said."""

    experiment: str
    execution_id: str | None
    metric: str
    mode: Literal["max", "min"]
    evaluator: str
    importances: dict[str, Measure] = Field(default_factory=dict)
    reason: str | None = None
    """Why nothing can be said."""
    configurations: int
    """How many it rests on: each counts once, by the interquartile mean over its seeds."""
    needed: int
    """How many it takes."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """Runs that do not count, by why they do not."""
