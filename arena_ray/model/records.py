"""What the registry knows, as values that cross borders: store, actors, gateway, client and command line share them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainSerializer

from arena_ray.model.spec import CheckpointPolicy, ExperimentSpec, FlagValue, Resources, Strict
from arena_ray.model.states import (
    AttemptOutcome,
    ExecutionState,
    ExploitCause,
    ExploitOutcome,
    Intent,
    PolicyState,
    Resume,
    RunState,
    Scope,
)


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
    name: str | None = None
    """What a plugin has called it."""
    notes: str | None = None
    """What a plugin has said of it."""
    execution_id: str | None = None
    """The plugin execution that has made it."""


class ProposedRevision(Record):
    """A revision that does not exist yet. ``flags`` holds what the script would be given, hyperparameters included."""

    runner: str
    script: str
    env_id: str
    hyperparameters: dict[str, FlagValue]
    flags: dict[str, FlagValue]
    config: dict[str, Any]
    resources: Resources
    checkpoint: CheckpointPolicy

    @classmethod
    def of(cls, spec: ExperimentSpec, *, flags: Mapping[str, FlagValue]) -> Self:
        """Return the revision that *spec* would make, whose script would be given *flags*."""
        return cls(flags=dict(flags), **{name: getattr(spec, name) for name in cls.model_fields if name != "flags"})

    def digest(self) -> str:
        """Return the sha256 of it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


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
    execution_id: str | None = None
    member: int | None = None
    """Its number among the runs of its plugin execution, from 0."""
    hyperparameters: dict[str, FlagValue] = Field(default_factory=dict)
    """As they are now: those of its revision, but for what exploits have changed since."""
    generation: int = 0
    """The number of its newest exploit that was applied; 0 before the first."""
    description: str | None = None
    """What a plugin has said of it when it started it."""
    resume: Resume = Resume.WARM
    """How it goes on from a checkpoint; ``exact`` only where a probe has proved it."""
    resume_reason: str | None = None
    """Why it is not ``exact``; None where nobody has looked yet."""


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
    generation: int = 0
    """The run's generation at that moment."""
    created_at: datetime


class Execution(Record):
    """One invocation of a plugin on an experiment."""

    execution_id: str
    experiment_id: str
    experiment: str
    plugin: str
    settings: dict[str, Any]
    """Checked, defaults filled in."""
    spec: ExperimentSpec
    state: ExecutionState
    reason: str | None = None
    created_at: datetime
    ended_at: datetime | None = None
    revision_id: str | None = None
    """The revision that it began with; None where an older version began it."""
    scope: Scope = Scope.EXPERIMENT


class JournalEntry(Record):
    """A call of a plugin's function, at its place among the calls of its execution, and what was answered."""

    number: int
    """The place, counted from 0."""
    repeats: int = 0
    """So many calls after it were the same, and answered the same: it stands for them too."""
    method: str
    arguments: dict[str, Any]
    answer: Any = None
    """As JSON. As long as the call waits for steps: those of the execution's runs when it began."""
    error: dict[str, str] | None = None
    """Class and message of what was raised instead."""
    created_at: datetime
    ended_at: datetime | None = None
    """None as long as the call waits for something."""


class Milestone(Record):
    """A step at which a run held to be judged, with its checkpoint and what it had reached there."""

    run_id: str
    number: int
    """Grows with the steps; equal numbers of two runs mean equal steps."""
    generation: int
    boundary: int
    global_step: int
    score: Measure
    is_measured: bool = True
    """False where nothing had been measured; a score that is NaN all the same means that the run has diverged."""
    checkpoint_id: str
    created_at: datetime


class Exploit(Record):
    """A run takes over weights and optimizer of a donor, and changed hyperparameters, at one of its milestones."""

    execution_id: str
    run_id: str
    generation: int
    """What the run's generation is once this is applied."""
    milestone: int
    boundary: int
    global_step: int
    score: Measure
    donor_run_id: str
    donor_generation: int
    donor_milestone: int
    donor_checkpoint_id: str
    donor_digest: str
    donor_score: Measure
    hyperparameters_before: dict[str, FlagValue]
    hyperparameters: dict[str, FlagValue]
    cause: ExploitCause
    outcome: ExploitOutcome = ExploitOutcome.COMMITTED
    reason: str | None = None
    created_at: datetime
    ended_at: datetime | None = None


class Lineage(Record):
    """Where the weights of an experiment's runs come from. Milestones and exploits are in the order they happened."""

    experiment: str
    execution: Execution | None
    runs: list[Run]
    milestones: list[Milestone]
    exploits: list[Exploit]
    final_scores: dict[str, Measure] = Field(default_factory=dict)
    """What each completed run logged last of the plugin's metric, by its id; empty where that is the return."""


class Note(Record):
    """What a plugin, or we, have written down about an experiment, one of its runs or one of its revisions."""

    note_id: str
    experiment_id: str
    execution_id: str | None = None
    run_id: str | None = None
    revision_id: str | None = None
    text: str
    created_at: datetime


class PolicyVersion(Record):
    """A checkpoint behind a deployed name. Versions of a name count from 1."""

    name: str
    version: int
    run_id: str
    checkpoint_id: str
    digest: str
    """sha256 of the policy's description, weights and graph, as they were copied; empty until they were."""
    state: PolicyState
    reason: str | None = None
    created_at: datetime
    ended_at: datetime | None = None
