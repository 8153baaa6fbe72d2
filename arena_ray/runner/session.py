"""One attempt of a run, supervised: starts the training process, speaks the wire, reports, and says how it ended."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from arena_ray.model.events import AttemptStarted, TookOver
from arena_ray.model.records import Checkpoint
from arena_ray.model.states import AttemptOutcome, Intent
from arena_ray.runner.attempt import End, Launch, Progress, Reporter, Seek, judge, start_process
from arena_ray.runner.checkpoint_files import remove_unfinished
from arena_ray.runner.outbox import REPORT_INTERVAL_S, Outbox
from arena_ray.runner.output import last_lines
from arena_ray.runner.patience import Lapse, Patience
from arena_ray.runner.process import GuardedProcess
from arena_ray.runner.protocol import Runner
from arena_ray.runner.speed import SpeedMeter
from arena_ray.runner.takeover import Takeover, carry_out
from arena_ray.runner.told import checkpoint_event, episode_event, skipped_notes, step_events
from arena_ray.runner.wire import Message

STDERR_LINES = 20
STOP_GRACE_S = 5.0
"""What a script has for its own clean-up that has no boundary at which it could stop."""


class Session:
    """Supervises one attempt. Call :meth:`start`, then :meth:`advance` until it returns an :class:`End`."""

    def __init__(
        self, launch: Launch, *, runner: Runner, report: Reporter, clock: Callable[[], float] = time.monotonic
    ):
        self._launch = launch
        self._runner = runner
        self._clock = clock
        self._outbox = Outbox(launch, report=report, clock=clock)
        self._process: GuardedProcess | None = None
        self._snapshot_at = clock() + launch.snapshot_every_s
        self._snapshot_pending = False
        self._snapshots = 0
        self._speed = SpeedMeter()
        self._progress = Progress(0, 0, math.nan)
        self._until: int | None = None
        self._generation = 0
        self._saved_at: tuple[int, int] | None = None
        self._saved_to = ""
        self._is_arriving = False
        self._is_holding = False
        self._is_ready = False
        self._is_restoring = False
        self._is_over = False
        self._has_boundaries = True
        self._patience = Patience(end_s=launch.end_timeout_s, clock=clock)
        self._leaving: Intent = Intent.NONE
        self._failure: str | None = None
        self._unsaved: str | None = None
        self._bye: str | None = None

    @property
    def progress(self) -> Progress:
        """Where the training stands, as last heard."""
        return self._progress

    @property
    def training_pid(self) -> int | None:
        """Pid of the training process, once its guard has told it."""
        return self._process.pid if self._process else None

    @property
    def generation(self) -> int:
        """Number of the newest takeover that is part of the training's state; 0 before the first."""
        return self._generation

    @property
    def is_holding(self) -> bool:
        """Whether the training holds at the step until which it was to go."""
        return self._is_holding

    @property
    def has_checkpoint_here(self) -> bool:
        """Whether the state in which the training holds is written down."""
        return self._saved_at == (self._progress.boundary, self._generation)

    def start(
        self,
        checkpoint: Checkpoint | None,
        *,
        notes: Sequence[str] = (),
        until_step: int | None = None,
        seek: Seek | None = None,
    ) -> None:
        """Start the training process, from *checkpoint* where there is one; it holds from *until_step* on.

        With *seek* it goes on there without the checkpoint's state.

        Raises:
            OSError: The attempt's directory or the process could not be made.
        """
        files, number = self._launch.files, self._launch.attempt
        for directory in (files.attempt(number), files.checkpoints, files.tensorboard):
            directory.mkdir(parents=True, exist_ok=True)
        remove_unfinished(files.checkpoints, before_attempt=number)
        boundary, step = (checkpoint.boundary, checkpoint.global_step) if checkpoint else (0, 0)
        generation = checkpoint.generation if checkpoint else 0
        self._outbox.add(AttemptStarted(boundary, step, time.time(), generation))
        if number > 1:
            origin = f"goes on from step {step:,}" if checkpoint else "begins anew: there is no checkpoint yet"
            self._outbox.note(f"attempt {number} {origin}")
        self._outbox.note(*notes)
        self._progress = Progress(boundary, step, math.nan)
        self._process = start_process(self._launch, note=self._outbox.note)
        self._patience.start_within(self._launch.start_timeout_s)  # not before: a warm pool may have tried in vain
        if checkpoint:
            self._is_restoring = True
            self._generation = generation
            self._saved_at = (checkpoint.boundary, checkpoint.generation)
            if seek is None:
                self._process.wire.send("restore", path=checkpoint.uri)
            else:
                self._process.wire.send("seek", path=checkpoint.uri, total_steps=seek.total_steps)
        self.go_on(until_step)

    def go_on(self, until_step: int | None) -> None:
        """Let the training go on; it holds at the first boundary whose step is at least *until_step*."""
        self._until = until_step
        self._is_arriving = self._is_holding = False
        self._require_process().wire.send("grant", until_step=until_step)

    def take_over(self, takeover: Takeover) -> bool:
        """Give a training that holds the weights and hyperparameters of another one.

        Returns:
            Whether it has them; False where its process has died.

        Raises:
            TakeoverRefused: They do not fit, or the process did not answer in time.
        """
        if not carry_out(takeover, self._require_process(), hear=self._handle, clock=self._clock):
            return False
        self._generation = takeover.generation
        place = (self._progress.boundary, self._progress.global_step)
        self._outbox.add(TookOver(*place, takeover.generation, takeover.donor, time.time()))
        self._outbox.announce(takeover.hyperparameters)
        return True

    def request_snapshot(self) -> None:
        """Have the state written down at the next boundary; where it holds, there. Of one state only one is written."""
        self._snapshot_pending = True
        self._snapshots += 1  # one step may be written more than once: no checkpoint takes another one's place
        target = self._launch.files.checkpoints / f"{{step}}-a{self._launch.attempt}-{self._snapshots}"
        self._require_process().wire.send("snapshot", path=str(target), replay_buffer=self._launch.replay_buffer)

    def advance(self, timeout_s: float) -> End | None:
        """Handle what comes within *timeout_s*, report it, and carry out what the user wants.

        Returns:
            How the attempt ended, or None while it goes on.

        Raises:
            StaleAttempt: A newer attempt has taken over; call :meth:`close`.
        """
        process = self._require_process()
        deadline = self._clock() + timeout_s
        held_before = self._is_holding
        while (left := deadline - self._clock()) > 0 and process.wire.is_open and self._is_holding == held_before:
            if message := process.wire.receive(min(left, REPORT_INTERVAL_S)):
                self._handle(message)
            self._snapshot_when_due()
            self._report_when_due()
        return self._find_end()

    def _require_process(self) -> GuardedProcess:
        if self._process is None:
            raise RuntimeError("the session was not started")
        return self._process

    def _handle(self, message: Message) -> None:
        self._patience.hear()
        handler = getattr(self, f"_on_{message.get('type')}", None)
        if handler is not None:
            handler(message)

    def _be_ready(self) -> None:
        self._is_ready = True
        self._patience.be_ready()

    def _on_hello(self, message: Message) -> None:
        if message.get("main_loop", {}) is None:  # a trainer of another kind may say nothing of one
            self._has_boundaries = False
            self._be_ready()
            self._outbox.note("the script has no main loop: it cannot be paused, and a new attempt begins anew")

    def _on_step(self, message: Message) -> None:
        if not self._is_restoring:  # else logged before the main loop: the first attempt has told it already
            for event in step_events(message, self._runner):
                self._outbox.add(event)
        if not self._has_boundaries:
            self._advance_to(0, max(message["step"], self._progress.global_step))

    def _on_episode(self, message: Message) -> None:
        if not self._is_restoring:
            self._outbox.add(episode_event(message))

    def _on_boundary(self, message: Message) -> None:
        if self._is_restoring:  # the script's own beginning
            return
        self._be_ready()
        self._advance_to(message["boundary"], message["step"])
        if message.get("ended"):
            self._is_over = True
            self._patience.see_end()
            if not self.has_checkpoint_here:  # else an attempt before this one got so far
                self.request_snapshot()
            self._require_process().wire.send("grant", until_step=None)
        elif message.get("held") and self._until is not None and message["step"] >= self._until:
            self._arrive()

    def _advance_to(self, boundary: int, step: int) -> None:
        self._progress = Progress(boundary, step, self._speed.at(step, self._clock()))

    def _arrive(self) -> None:
        """Hold once the state is written down: whoever decides may want it for others."""
        if self._is_arriving or self._is_holding:
            return
        if self.has_checkpoint_here:
            self._hold()
        else:
            self._is_arriving = True
            self.request_snapshot()

    def _hold(self) -> None:
        self._is_arriving, self._is_holding = False, True
        self._follow(self._outbox.send(self._progress))

    def _on_restored(self, message: Message) -> None:
        self._be_ready()
        self._is_restoring = False
        self._outbox.note(*skipped_notes(message))

    def _on_sought(self, message: Message) -> None:
        self._is_restoring = False  # it is ready once it holds there: there is nothing yet to be saved

    def _on_snapshot_saved(self, message: Message) -> None:
        directory = self._launch.files.checkpoints
        if Path(os.path.normpath(message["path"])).parent != directory:  # what is in excess will be removed
            self._on_snapshot_failed({**message, "reason": f"{message['path']} does not lie in {directory}"})
            return
        self._snapshot_pending = False
        self._unsaved = None
        self._snapshot_at = self._clock() + self._launch.snapshot_every_s
        if message["path"] != self._saved_to:  # else asked for twice, and told of twice
            self._outbox.note(*skipped_notes(message))
            self._outbox.add(checkpoint_event(message))
        self._saved_at = (message["boundary"], message.get("generation", 0))
        self._saved_to = message["path"]
        self._outbox.hurry()  # a checkpoint counts only when it is registered: do not wait
        if self._is_arriving and self.has_checkpoint_here:
            self._hold()

    def _on_snapshot_failed(self, message: Message) -> None:
        self._snapshot_pending = False
        self._snapshot_at = self._clock() + self._launch.snapshot_every_s
        self._outbox.note(f"checkpoint not written: {message['reason']}")
        # Without a place on disk for its last checkpoint a run has not ended well. A script that cannot be captured
        # at that point, having entered its main loop again, has.
        if message.get("errno") is not None and (self._leaving is not Intent.NONE or self._is_over):
            self._unsaved = f"the last checkpoint could not be written: {message['reason']}"
        if self._is_arriving and message["boundary"] == self._progress.boundary:
            self._hold()

    def _on_error(self, message: Message) -> None:
        where = f" (line {message['line']})" if message.get("line") else ""
        self._failure = f"{message['class']}: {message['message']}{where}"

    def _on_bye(self, message: Message) -> None:
        self._bye = message["outcome"]

    def _snapshot_when_due(self) -> None:
        is_due = not self._snapshot_pending and self._clock() >= self._snapshot_at
        if is_due and self._is_ready and self._has_boundaries and not self._is_holding:
            self.request_snapshot()

    def _report_when_due(self) -> None:
        if self._outbox.is_due:
            self._follow(self._outbox.send(self._progress))
            self._patience.count(self._outbox.printed)

    def _follow(self, intent: Intent) -> None:
        if intent is Intent.STOP_NOW:
            self._leaving = Intent.STOP
            self._require_process().end()
        elif intent in (Intent.STOP, Intent.PAUSE) and self._leaving is Intent.NONE and self._is_ready:
            self._leaving = intent
            if not self._has_boundaries:
                self._patience.stop_within(STOP_GRACE_S)
            elif not (self._is_holding and self.has_checkpoint_here):
                self.request_snapshot()
            self._require_process().wire.send("stop")

    def _find_end(self) -> End | None:
        process = self._require_process()
        how = process.poll()
        if how is None and (lapse := self._patience.lapse) is not None:
            how = process.end()
            if lapse is Lapse.START:
                return self._finish(End(AttemptOutcome.FAILED, lapse.value))
            if lapse is Lapse.END and self.has_checkpoint_here:
                self._outbox.note(lapse.value)
                return self._finish(End(AttemptOutcome.COMPLETED))
        if how is None:
            return None
        while process.wire.is_open and (message := process.wire.receive(1.0)):
            self._handle(message)
        return self._finish(judge(how, failure=self._failure or self._unsaved, leaving=self._leaving, bye=self._bye))

    def _finish(self, end: End) -> End:
        self._outbox.send(self._progress, is_last=True)
        self.close()
        if end.outcome is AttemptOutcome.FAILED:
            stderr = last_lines(self._launch.files.output(self._launch.attempt, "stderr"), STDERR_LINES)
            return End(end.outcome, "\n".join([end.reason or "failed", *stderr]))
        return end

    def close(self) -> None:
        """End the training process, if there is one, and let go of its files."""
        if self._process is not None:
            self._process.end()
        self._outbox.close()
