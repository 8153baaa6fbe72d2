"""Telemetry events: what a run tells while it trains. Every stored event carries ``schema_version``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 1

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode_number(value: float) -> float | str:
    """Return *value* as strict JSON can hold it: NaN and infinities become their names."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def decode_number(value: float | str) -> float:
    """Return the number that :func:`encode_number` encoded.

    Raises:
        ValueError: *value* is a word that names no number.
    """
    if isinstance(value, str):
        if value not in _NON_FINITE:
            raise ValueError(f"{value!r} is not a number")
        return _NON_FINITE[value]
    return float(value)


EPISODIC_RETURN = "episodic_return"
"""The score that every run has, whatever its script logs."""

GPU_UTILIZATION = "system/gpu_utilization"
"""Tag under which we log how busy the reserved GPUs are, in percent."""

REPORTED_EPISODES = 20
"""``episodic_return`` of a run is the mean over this many of its last episodes, since its last takeover."""


@dataclass(frozen=True)
class AttemptStarted:
    """An attempt begins at a boundary; what earlier attempts told from that boundary on is superseded."""

    boundary: int
    global_step: int
    wall_time: float
    generation: int = 0
    """That of the state from which it begins: its newest takeover is not told again."""

    def supersedes(self, event: Event) -> bool:
        """Whether the attempt will tell *event*, which stands before this, again."""
        if isinstance(event, LogLine):
            return False
        if isinstance(event, TookOver) and event.boundary == self.boundary:
            return event.generation > self.generation
        return event.boundary >= self.boundary


@dataclass(frozen=True)
class TrainingStep:
    """Scalars that the script logged at one step, by tag."""

    boundary: int
    global_step: int
    scalars: dict[str, float]
    wall_time: float


@dataclass(frozen=True)
class EpisodeSummary:
    """One finished episode."""

    boundary: int
    global_step: int
    episodic_return: float
    episodic_length: float
    wall_time: float


@dataclass(frozen=True)
class LogLine:
    """One line that the script printed, without its line end."""

    stream: str
    text: str
    wall_time: float


@dataclass(frozen=True)
class CheckpointSaved:
    """A snapshot is complete on disk. It counts once the registry has it."""

    boundary: int
    global_step: int
    uri: str
    digest: str
    policy_digest: str
    size_bytes: int
    is_final: bool = False
    generation: int = 0
    left_out: tuple[str, ...] = ()
    """What it does not hold, each with why."""


@dataclass(frozen=True)
class TookOver:
    """From this boundary on the run trains with another run's weights: episodes before it say nothing of them."""

    boundary: int
    global_step: int
    generation: int
    donor: str
    """Id of the run that the weights come from."""
    wall_time: float


Event = AttemptStarted | TrainingStep | EpisodeSummary | LogLine | CheckpointSaved | TookOver


@dataclass(frozen=True)
class Batch:
    """Events of one attempt, in order. ``first_seq`` numbers the first of them, from 0 in each attempt."""

    run_id: str
    attempt: int
    first_seq: int
    events: tuple[Event, ...] = ()
    boundary: int = 0
    global_step: int = 0
    steps_per_second: float = math.nan


@dataclass(frozen=True)
class MetricPoint:
    """One value of one tag, as queries return it."""

    tag: str
    global_step: int
    value: float
    wall_time: float
    attempt: int


@dataclass(frozen=True)
class LogPage:
    """Lines of a run's log from ``after`` on, and where the next page starts."""

    lines: tuple[dict[str, Any], ...] = field(default=())
    next_after: int = 0
