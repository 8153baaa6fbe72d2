"""What the registry knows, as values that cross borders: store, actors, gateway, client and command line share them."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from arena_ray.model.spec import CheckpointPolicy, FlagValue, Resources, Strict
from arena_ray.model.states import AttemptOutcome, Intent, RunState


def _none_to_nan(value: Any) -> Any:
    return math.nan if value is None else value


def _nan_to_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


Measure = Annotated[
    float,
    BeforeValidator(_none_to_nan),
    PlainSerializer(_nan_to_none, return_type=float | None, when_used="json"),
]
"""A measured number; NaN where nothing was measured, null in JSON."""


class Record(Strict):
    """A row as it was when it was read; it never changes under its reader."""

    model_config = Strict.model_config | {"allow_inf_nan": True}


class Experiment(Record):
    """A named question."""

    experiment_id: str
    name: str
    project: str | None = None
    created_at: datetime


class Revision(Record):
    """An immutable configuration. ``flags`` holds what the script is given, hyperparameters included."""

    revision_id: str
    experiment_id: str
    number: int
    parent_id: str | None
    digest: str
    runner: str
    script: str
    bundle: str
    env_id: str
    hyperparameters: dict[str, FlagValue]
    flags: dict[str, FlagValue]
    config: dict[str, Any]
    resources: Resources
    checkpoint: CheckpointPolicy
    created_at: datetime


class Run(Record):
    """One training of one revision with its seed."""

    run_id: str
    name: str
    experiment_id: str
    experiment: str
    revision_id: str
    revision: int
    runner: str
    script: str
    env_id: str
    seed: int
    state: RunState
    intent: Intent = Intent.NONE
    attempt: int = 0
    global_step: int = 0
    episodic_return: Measure = math.nan
    steps_per_second: Measure = math.nan
    node: str | None = None
    resources: Resources
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None


class Attempt(Record):
    """One start of a run on a node."""

    run_id: str
    number: int
    node: str
    started_at: datetime
    ended_at: datetime | None = None
    resumed_from: str | None = None
    outcome: AttemptOutcome | None = None
    reason: str | None = None


class Checkpoint(Record):
    """Resume state and policy of a run at a step. ``boundary`` counts passes of the main loop."""

    checkpoint_id: str
    run_id: str
    attempt: int
    boundary: int
    global_step: int
    uri: str
    digest: str
    policy_digest: str
    metrics_digest: str
    size_bytes: int
    episodic_return: Measure = math.nan
    is_final: bool = False
    created_at: datetime
