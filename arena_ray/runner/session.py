"""One attempt of a run, supervised: starts the training process, speaks the wire, reports, and says how it ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from arena_ray.model.events import (
    AttemptStarted,
    Batch,
    CheckpointSaved,
    EpisodeSummary,
    Event,
    LogLine,
    TrainingStep,
    decode_number,
)
from arena_ray.model.paths import RunFiles
from arena_ray.model.records import Checkpoint
from arena_ray.model.states import AttemptOutcome, Intent
from arena_ray.runner.output import OutputTail, last_lines
from arena_ray.runner.process import Exit, TrainingProcess
from arena_ray.runner.protocol import Runner
from arena_ray.runner.speed import SpeedMeter
from arena_ray.runner.wire import Message

REPORT_INTERVAL_S = 0.25
STDERR_LINES = 20


class Reporter(Protocol):
    """Takes a batch of an attempt and answers with what the user wants of the run."""

    def __call__(self, batch: Batch, /) -> Intent:
        """Return once the batch is kept for good.

        Raises:
            StaleAttempt: A newer attempt has taken over; this one is to end at once.
        """
        ...


@dataclass(frozen=True)
class End:
    """How an attempt ended."""

    outcome: AttemptOutcome
    reason: str | None = None


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


@dataclass(frozen=True)
class Progress:
    """Where the training stands."""

    boundary: int
    global_step: int
    steps_per_second: float


class Session:
    """Supervises one attempt. Call :meth:`start`, then :meth:`advance` until it returns an :class:`End`."""

    def __init__(
        self, launch: Launch, *, runner: Runner, report: Reporter, clock: Callable[[], float] = time.monotonic
    ):
        self._launch = launch
        self._runner = runner
        self._report = report
        self._clock = clock
        self._process: TrainingProcess | None = None
        self._tails = [
            OutputTail(launch.files.output(launch.attempt, stream), stream=stream) for stream in ("stdout", "stderr")
        ]
        self._pending: list[Event] = []
        self._seq = 0
        self._reported_at = -math.inf
        self._snapshot_at = clock() + launch.snapshot_every_s
        self._snapshot_pending = False
        self._speed = SpeedMeter()
        self._progress = Progress(0, 0, math.nan)
        self._is_ready = False
        self._is_restoring = False
        self._is_over = False
        self._deadline = clock() + launch.start_timeout_s
        self._leaving: Intent = Intent.NONE
        self._failure: str | None = None
        self._bye: str | None = None

    @property
    def progress(self) -> Progress:
        """Where the training stands, as last heard."""
        return self._progress

    @property
    def training_pid(self) -> int | None:
        """Pid of the training process, once its guard has told it."""
        return self._process.pid if self._process else None

    def start(self, checkpoint: Checkpoint | None, *, notes: Sequence[str] = ()) -> None:
        """Start the training process, from *checkpoint* where there is one.

        Raises:
            OSError: The attempt's directory or the process could not be made.
        """
        files, number = self._launch.files, self._launch.attempt
        for directory in (files.attempt(number), files.checkpoints, files.tensorboard):
            directory.mkdir(parents=True, exist_ok=True)
        boundary, step = (checkpoint.boundary, checkpoint.global_step) if checkpoint else (0, 0)
        self._pending.append(AttemptStarted(boundary, step, time.time()))
        self._note(*notes)
        self._progress = Progress(boundary, step, math.nan)
        self._process = TrainingProcess.start(
            self._launch.command,
            cwd=files.attempt(number),
            env=self._launch.env,
            stdout=files.output(number, "stdout"),
            stderr=files.output(number, "stderr"),
        )
        if checkpoint:
            self._is_restoring = True
            self._process.wire.send("restore", path=checkpoint.uri)
        self._process.wire.send("grant", until_step=None)

    def advance(self, timeout_s: float) -> End | None:
        """Handle what comes within *timeout_s*, report it, and carry out what the user wants.

        Returns:
            How the attempt ended, or None while it goes on.

        Raises:
            StaleAttempt: A newer attempt has taken over; call :meth:`close`.
        """
        process = self._require_process()
        deadline = self._clock() + timeout_s
        while (left := deadline - self._clock()) > 0 and process.wire.is_open:
            if message := process.wire.receive(min(left, REPORT_INTERVAL_S)):
                self._handle(message)
            self._snapshot_when_due()
            self._report_when_due()
        return self._find_end()

    def _require_process(self) -> TrainingProcess:
        if self._process is None:
            raise RuntimeError("the session was not started")
        return self._process

    def _handle(self, message: Message) -> None:
        handler = getattr(self, f"_on_{message.get('type')}", None)
        if handler is not None:
            handler(message)

    def _on_step(self, message: Message) -> None:
        if self._is_restoring:  # logged before the main loop: the first attempt has told it already
            return
        scalars = {tag: decode_number(value) for tag, value in message["scalars"].items()}
        event = TrainingStep(message["boundary"], message["step"], scalars, message["wall_time"])
        self._pending.append(event)
        if episode := self._runner.episodes(event):
            self._pending.append(episode)

    def _on_episode(self, message: Message) -> None:
        if not self._is_restoring:
            returns, length = (decode_number(message[key]) for key in ("episodic_return", "episodic_length"))
            self._pending.append(
                EpisodeSummary(message["boundary"], message["step"], returns, length, message["wall_time"])
            )

    def _on_boundary(self, message: Message) -> None:
        self._is_ready = True
        speed = self._speed.at(message["step"], self._clock())
        self._progress = Progress(message["boundary"], message["step"], speed)
        if message.get("ended"):
            self._is_over = True
            self._request_snapshot()
            self._require_process().wire.send("grant", until_step=None)

    def _on_restored(self, message: Message) -> None:
        self._is_ready = True
        self._is_restoring = False
        self._note_skipped(message)

    def _on_snapshot_saved(self, message: Message) -> None:
        self._snapshot_pending = False
        self._snapshot_at = self._clock() + self._launch.snapshot_every_s
        self._note_skipped(message)
        keys = ("boundary", "digest", "policy_digest", "size_bytes")
        self._pending.append(
            CheckpointSaved(
                **{key: message[key] for key in keys},
                global_step=message["step"],
                uri=message["path"],
                is_final=bool(message.get("ended")),
            )
        )
        self._reported_at = -math.inf  # a checkpoint counts only when it is registered: do not wait

    def _on_snapshot_failed(self, message: Message) -> None:
        self._snapshot_pending = False
        self._snapshot_at = self._clock() + self._launch.snapshot_every_s
        self._note(f"checkpoint not written: {message['reason']}")
        # Without a place on disk for its last checkpoint a run has not ended well. A script that cannot be captured
        # at that point, having entered its main loop again, has.
        if message.get("errno") is not None and (self._leaving is not Intent.NONE or self._is_over):
            self._failure = f"the last checkpoint could not be written: {message['reason']}"

    def _on_error(self, message: Message) -> None:
        where = f" (line {message['line']})" if message.get("line") else ""
        self._failure = f"{message['class']}: {message['message']}{where}"

    def _on_bye(self, message: Message) -> None:
        self._bye = message["outcome"]

    def _note_skipped(self, message: Message) -> None:
        for item in message.get("skipped") or ():
            self._note(f"not captured: {item['name']} ({item['why']}); resume is warm, not exact")

    def _note(self, *texts: str) -> None:
        self._pending.extend(LogLine("arena", text, time.time()) for text in texts)

    def _snapshot_when_due(self) -> None:
        if self._is_ready and not self._snapshot_pending and self._clock() >= self._snapshot_at:
            self._request_snapshot()

    def _request_snapshot(self) -> None:
        self._snapshot_pending = True
        target = self._launch.files.checkpoints / f"{{step}}-a{self._launch.attempt}"
        self._require_process().wire.send("snapshot", path=str(target))

    def _report_when_due(self) -> None:
        if self._clock() - self._reported_at >= REPORT_INTERVAL_S:
            self._send_report()

    def _send_report(self, *, is_last: bool = False) -> None:
        for tail in self._tails:
            self._pending.extend(tail.read(is_last=is_last))
        events, self._pending = tuple(self._pending), []
        batch = Batch(self._launch.run_id, self._launch.attempt, self._seq, events, **vars(self._progress))
        intent = self._report(batch)
        self._seq += len(events)
        self._reported_at = self._clock()
        if not is_last:
            self._follow(intent)

    def _follow(self, intent: Intent) -> None:
        if intent is Intent.STOP_NOW:
            self._leaving = Intent.STOP
            self._require_process().end()
        elif intent in (Intent.STOP, Intent.PAUSE) and self._leaving is Intent.NONE and self._is_ready:
            self._leaving = intent
            self._request_snapshot()
            self._require_process().wire.send("stop")

    def _find_end(self) -> End | None:
        process = self._require_process()
        how = process.poll()
        if how is None:
            if not self._is_ready and self._clock() > self._deadline:
                process.end()
                return self._finish(End(AttemptOutcome.FAILED, "the script reached no main loop in time"))
            return None
        while process.wire.is_open and (message := process.wire.receive(1.0)):
            self._handle(message)
        return self._finish(self._judge(how))

    def _judge(self, how: Exit) -> End:
        if self._failure:
            return End(AttemptOutcome.FAILED, self._failure)
        if self._leaving is not Intent.NONE and (self._bye == "stopped" or how.is_lost):
            is_pause = self._leaving is Intent.PAUSE
            return End(AttemptOutcome.PAUSED if is_pause else AttemptOutcome.STOPPED)
        if how.is_lost:
            return End(AttemptOutcome.LOST, str(how))
        if how.exit_code == 0:
            return End(AttemptOutcome.COMPLETED)
        return End(AttemptOutcome.FAILED, f"the script ended with {how}")

    def _finish(self, end: End) -> End:
        self._send_report(is_last=True)
        self.close()
        if end.outcome is AttemptOutcome.FAILED:
            stderr = last_lines(self._launch.files.output(self._launch.attempt, "stderr"), STDERR_LINES)
            return End(end.outcome, "\n".join([end.reason or "failed", *stderr]))
        return end

    def close(self) -> None:
        """End the training process, if there is one, and let go of its files."""
        if self._process is not None:
            self._process.end()
        for tail in self._tails:
            tail.close()
