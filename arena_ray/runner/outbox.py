"""What an attempt has to tell: gathered in order, and reported in batches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from arena_ray.model.events import GPU_UTILIZATION, Batch, Event, LogLine, TrainingStep
from arena_ray.model.states import Intent
from arena_ray.runner.attempt import Launch, Progress, Reporter
from arena_ray.runner.gpu_load import GpuLoad
from arena_ray.runner.output import OutputTail

REPORT_INTERVAL_S = 0.5
SCRIPT_STREAMS = ("stdout", "stderr")
STREAMS = (*SCRIPT_STREAMS, "writers")
"""What is followed line by line: what the script prints, and what stats writers do."""


class Outbox:
    """Events and printed lines of one attempt, numbered."""

    def __init__(self, launch: Launch, *, report: Reporter, clock: Callable[[], float]) -> None:
        self._launch = launch
        self._report = report
        self._clock = clock
        self._tails = {
            stream: OutputTail(launch.files.output(launch.attempt, stream), stream=stream) for stream in STREAMS
        }
        self._gpu_load = GpuLoad.of(launch.env)
        self._pending: list[Event] = []
        self._seq = 0
        self.printed = 0
        """Lines that the script has printed so far."""
        self._reported_at = -math.inf

    def add(self, event: Event) -> None:
        """Tell *event* with the next batch."""
        self._pending.append(event)
        if self._launch.listener is not None:
            self._launch.listener.hear(event)

    def announce(self, hyperparameters: Mapping[str, Any]) -> None:
        """Let the listener know that the training goes on with these."""
        if self._launch.listener is not None:
            self._launch.listener.set_hyperparameters(hyperparameters)

    def note(self, *texts: str) -> None:
        """Tell a note of ours, a line each."""
        self._pending.extend(LogLine("arena", text, time.time()) for text in texts)

    def hurry(self) -> None:
        """Make the next batch due."""
        self._reported_at = -math.inf

    @property
    def is_due(self) -> bool:
        """Whether it is time for a batch; what did not fit into the last one does not wait."""
        return self._has_more or self._clock() - self._reported_at >= REPORT_INTERVAL_S

    @property
    def _has_more(self) -> bool:
        return any(tail.has_more for tail in self._tails.values())

    def send(self, progress: Progress, *, is_last: bool = False) -> Intent:
        """Report what has come together, all of it if *is_last*, and return what the user wants of the run.

        Raises:
            StaleAttempt: A newer attempt has taken over.
        """
        if is_last and self._launch.listener is not None:
            self._launch.listener.finish()
        intent = self._send(progress, is_last=is_last)
        while is_last and self._has_more:
            intent = self._send(progress, is_last=True)
        return intent

    def _send(self, progress: Progress, *, is_last: bool) -> Intent:
        for stream, tail in self._tails.items():
            lines = list(tail.read(is_last=is_last))
            self._pending.extend(lines)
            self.printed += len(lines) if stream in SCRIPT_STREAMS else 0
        if self._launch.listener is not None:
            self.note(*self._launch.listener.take_notes())
        if (percent := self._gpu_load.look()) is not None:
            self.add(TrainingStep(progress.boundary, progress.global_step, {GPU_UTILIZATION: percent}, time.time()))
        events, self._pending = tuple(self._pending), []
        intent = self._report(Batch(self._launch.run_id, self._launch.attempt, self._seq, events, **vars(progress)))
        self._seq += len(events)
        self._reported_at = self._clock()
        return intent

    def close(self) -> None:
        """Let go of the files, and of the listener."""
        if self._launch.listener is not None:
            self._launch.listener.finish()
        self._gpu_load.close()
        for tail in self._tails.values():
            tail.close()
