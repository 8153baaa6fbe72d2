"""Trainings that a function of the test's stands for: what runs on a stage do while its clock passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from arena_ray.model.events import EPISODIC_RETURN, MetricPoint
from arena_ray.model.records import Run
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import RunState

STEPS = 100_000
"""How long a run is whose script has no ``total_timesteps``."""

QUEUED_S = 1.0
"""How long a run waits before it trains."""

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class TrainingFails(Exception):
    """Raise it in the function that stands for the script: the run is ``failed`` at this step, for this reason."""


class TrainingHangs(Exception):
    """Raise it in the function that stands for the script: the run tells nothing more, and never ends by itself."""


@dataclass(frozen=True)
class Training:
    """What a run trains with; ``training["learning_rate"]`` is what it was given, or else the script's default.

    Args:
        number: Its number among the runs of the stage, from 0.
        seed: Its seed.
        env_id: Its environment.
        values: All flags of the script, as they were given, or else their defaults.
        config: Its nested configuration.
        printed: The lines of its log: append some, and ``run.get_logs()`` returns them.
    """

    number: int
    seed: int
    env_id: str
    values: Mapping[str, FlagValue]
    config: Mapping[str, Any]
    printed: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


Train = Callable[[Training, int], float | Mapping[str, float]]
"""Stands for a script: returns what the run has reached at a step.

A number is its ``episodic_return``. A mapping has the values of tags; without the key ``episodic_return`` no episode
has ended.
"""


def nothing(training: Training, step: int) -> Mapping[str, float]:
    """Log nothing."""
    return {}


class StageClock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return how many seconds have passed."""
        return self.seconds

    def utc(self) -> datetime:
        """Return this moment."""
        return _BEGIN + timedelta(seconds=self.seconds)

    def pass_to(self, seconds: float) -> None:
        """Go on to a moment; nothing happens where it has passed."""
        self.seconds = max(self.seconds, seconds)


@dataclass(frozen=True)
class Pace:
    """How runs train: for so long, telling so often what they have reached."""

    seconds: float
    reports: int


class StagedRun:
    """A run, as its record says it, and what it has logged.

    Args:
        record: The run as it is queued.
        training: What it trains with.
        train: Stands for its script.
        clock: The stage's.
        pace: How it trains.
    """

    def __init__(self, record: Run, training: Training, *, train: Train, clock: StageClock, pace: Pace) -> None:
        self.record = record
        self.training = training
        self.points: dict[str, list[MetricPoint]] = {}
        self.steps = steps_of(training.values)
        self._train = train
        self._clock = clock
        self._pace = pace
        self._begins_at = clock.seconds + QUEUED_S
        self._reported = 0
        self._hangs = False

    @property
    def next_event_s(self) -> float | None:
        """When something about it changes next, by the stage's clock; None where nothing does."""
        if self.record.state is RunState.QUEUED:
            return self._begins_at
        if self.record.state is not RunState.RUNNING or self._hangs:
            return None
        return self._begins_at + self._pace.seconds * (self._reported + 1) / self._pace.reports

    def moment_of(self, step: int) -> float:
        """Return when it is so far, by the stage's clock."""
        return self._begins_at + self._pace.seconds * step / self.steps

    def go_on(self) -> None:
        """Do what is due: begin, and tell what is reached, up to the end."""
        while (due := self.next_event_s) is not None and due <= self._clock.seconds:
            if self.record.state is RunState.QUEUED:
                pace = self.steps / self._pace.seconds
                self._change(state=RunState.RUNNING, attempt=1, started_at=self._clock.utc(), steps_per_second=pace)
                continue
            self._reported += 1
            self.report(self.steps * self._reported // self._pace.reports)
            if self._reported == self._pace.reports and self.record.state is RunState.RUNNING and not self._hangs:
                self.end(RunState.COMPLETED)

    def report(self, step: int) -> None:
        """Let it tell what it has reached at *step*; what it has told of that is not told again."""
        if step <= self.record.global_step:
            return
        try:
            told = self._train(self.training, step)
        except TrainingFails as exc:
            self._change(global_step=step)
            self.end(RunState.FAILED, reason=str(exc) or "it failed")
            return
        except TrainingHangs:
            self._hangs = True
            return
        logged = dict(told) if isinstance(told, Mapping) else {EPISODIC_RETURN: told}
        self._change(global_step=step, episodic_return=float(logged.pop(EPISODIC_RETURN, math.nan)))
        moment = self._clock.utc().timestamp()
        for tag, value in logged.items():
            self.points.setdefault(tag, []).append(MetricPoint(tag, step, float(value), moment, attempt=1))

    def is_trained_to(self, step: int) -> bool:
        """Return whether it has come to this step, and not failed there."""
        return self.record.global_step == step and self.record.state is not RunState.FAILED

    def end(self, state: RunState, *, reason: str | None = None) -> None:
        """Let it come to its end; one that has ended stays as it is."""
        if not self.record.state.is_final:
            self._change(state=state, reason=reason, ended_at=self._clock.utc())

    def pause(self, reason: str) -> None:
        """Let it pause."""
        self._change(state=RunState.PAUSED, reason=reason)

    def _change(self, **values: Any) -> None:
        self.record = self.record.model_copy(update=values)


def steps_of(values: Mapping[str, FlagValue]) -> int:
    """Return how long a run is whose script has these flags."""
    total = values.get("total_timesteps")
    return total if isinstance(total, int) and total > 0 else STEPS
