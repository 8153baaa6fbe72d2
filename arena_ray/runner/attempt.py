"""What goes into an attempt and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from arena_ray.model.events import Batch, Event
from arena_ray.model.paths import RunFiles
from arena_ray.model.states import AttemptOutcome, Intent
from arena_ray.runner.process import Exit, GuardedProcess, Starter, start_cold
from arena_ray.runner.warm_pool import NoWarmStart


class Reporter(Protocol):
    """Takes a batch of an attempt and answers with what the user wants of the run."""

    def __call__(self, batch: Batch, /) -> Intent:
        """Return once the batch is kept for good.

        Raises:
            StaleAttempt: A newer attempt has taken over; this one is to end at once.
        """
        ...


class Listener(Protocol):
    """Hears what an attempt tells, as it comes, and may have something to tell its log. Only the end waits for it."""

    def hear(self, event: Event, /) -> None:
        """Take in an event."""
        ...

    def set_hyperparameters(self, changed: Mapping[str, Any], /) -> None:
        """Take in that the training goes on with other values of these."""
        ...

    def take_notes(self) -> list[str]:
        """Return what the run's log is to be told."""
        ...

    def finish(self) -> None:
        """Take in that nothing more will come; a second call does nothing."""
        ...


@dataclass(frozen=True)
class Launch:
    """All that an attempt needs to start. ``command`` holds ``{fd}`` where the wire's number goes."""

    run_id: str
    attempt: int
    command: Sequence[str]
    env: Mapping[str, str]
    files: RunFiles
    snapshot_every_s: float
    start_timeout_s: float
    end_timeout_s: float = 600.0
    starter: Starter = start_cold
    replay_buffer: str = "auto"
    """Whether snapshots hold replay buffers: see ``checkpoint.replay_buffer`` of the experiment file."""
    listener: Listener | None = None


def start_process(launch: Launch, *, note: Callable[[str], None]) -> GuardedProcess:
    """Start the training process, in a new interpreter where it cannot be forked from the warm pool.

    Raises:
        OSError: It could not be started, or a file not be opened.
    """
    start = partial(
        GuardedProcess.start,
        launch.command,
        cwd=launch.files.attempt(launch.attempt),
        env=launch.env,
        stdout=launch.files.output(launch.attempt, "stdout"),
        stderr=launch.files.output(launch.attempt, "stderr"),
    )
    try:
        return start(starter=launch.starter)
    except NoWarmStart as exc:
        note(f"{exc}; it starts in a new interpreter")
        return start()


@dataclass(frozen=True)
class Seek:
    """A start at the place of a checkpoint, but not from its state: the script was given other flags.

    It holds there until it takes over another run's state.
    """

    total_steps: int | None
    """How many steps the script takes in all with its new flags."""


@dataclass(frozen=True)
class Progress:
    """Where the training stands."""

    boundary: int
    global_step: int
    steps_per_second: float


@dataclass(frozen=True)
class End:
    """How an attempt ended."""

    outcome: AttemptOutcome
    reason: str | None = None


def judge(how: Exit, *, failure: str | None, leaving: Intent, bye: str | None) -> End:
    """Return how the attempt ended whose process ended so.

    Args:
        how: How the process ended.
        failure: What the training process said had gone wrong.
        leaving: What it had been asked to leave for.
        bye: Its last word.
    """
    if failure:
        return End(AttemptOutcome.FAILED, failure)
    if leaving is not Intent.NONE and (bye == "stopped" or how.is_lost):
        return End(AttemptOutcome.PAUSED if leaving is Intent.PAUSE else AttemptOutcome.STOPPED)
    if how.is_lost and bye != "completed":
        return End(AttemptOutcome.LOST, str(how))
    if how.is_lost or how.exit_code == 0:  # a library may yet crash while the interpreter leaves
        return End(AttemptOutcome.COMPLETED)
    return End(AttemptOutcome.FAILED, f"the script ended with {how}")
