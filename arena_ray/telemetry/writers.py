"""Stats writers from the run actor's side: a process for each registration function, fed without waiting for it."""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from arena_ray.model.paths import RunFiles
from arena_ray.plugin.stats_writer import RunOptions
from arena_ray.plugin.writer_discovery import WriterSource
from arena_ray.runner.process import GuardedProcess

STREAM = "writers"
"""Stream of the run's log that holds what stats writers print."""
QUEUED = 4_096
"""So many events may wait for a process; what comes on top of them is lost to its writers."""
AT_ONCE = 256
"""So many are sent in one message."""
LOAD_TIMEOUT_S = 60.0
"""How long a registration function may take, with all that it imports."""
_POLL_S = 0.1
_LAST_S = 5.0
_MARGIN_S = 1.0
"""So much earlier the process gives up than we do, so that it can say so."""


@dataclass(frozen=True)
class WriterTerms:
    """What stats writers are told of a run, and where they work."""

    options: RunOptions
    files: RunFiles
    summary_steps: int
    environ: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """Of their processes: without Ray's own variables, and without a GPU."""
        env = {key: value for key, value in self.environ.items() if not key.startswith("RAY_")}
        return env | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


class WriterProcess:
    """The process of one registration function. A thread of its own starts it, feeds it, listens to it and ends it."""

    def __init__(self, source: WriterSource, terms: WriterTerms, *, step: int) -> None:
        self._source = source
        self._terms = terms
        self._begin = {
            "source": asdict(source),
            "options": terms.options.as_dict(),
            "summary_steps": terms.summary_steps,
            "step": step,
            "path": [*map(str, sys.path)],
        }
        self._items: queue.Queue[list[Any]] = queue.Queue(QUEUED)
        self._notes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lost = 0
        self._process: GuardedProcess | None = None
        self._end_by: float | None = None
        self._is_ready = self._has_said_bye = self._is_gone = False
        self._thread = threading.Thread(target=self._work, name=f"stats writer {source.name}", daemon=True)
        self._thread.start()

    # -- called by the run actor, which never waits but for the end

    def give(self, item: list[Any]) -> None:
        """Pass on what the run has told; it is lost where too much is waiting already."""
        if self._is_gone:
            return
        try:
            self._items.put_nowait(item)
        except queue.Full:
            self._lost += 1

    def take_notes(self) -> list[str]:
        """Return what there is to tell the run's log."""
        return [self._notes.get() for _ in range(self._notes.qsize())]

    def end(self, deadline: float) -> None:
        """Let it take in what is left, until *deadline* of the monotonic clock."""
        self._end_by = deadline

    def wait(self) -> None:
        """Wait until it has done so."""
        assert self._end_by is not None, "it was not told to end"
        self._thread.join(max(0.0, self._end_by - time.monotonic()))
        if self._thread.is_alive() and self._process is not None:
            self._process.kill()  # it may hold up the thread that feeds it
        self._thread.join(_LAST_S)

    # -- in the thread

    def _work(self) -> None:
        log = self._terms.files.output(self._terms.options.arena.attempt, STREAM)
        try:
            self._process = process = GuardedProcess.start(
                [sys.executable, "-P", "-u", "-m", "arena_ray.telemetry.writer_process", "{fd}"],
                cwd=self._terms.files.root,
                env=self._terms.environment,
                stdout=log,
                stderr=log,
            )
        except OSError as exc:
            self._is_gone = True
            self._notes.put(f"stats writer {self._source} is not used: its process could not be started: {exc}")
            return
        try:
            self._serve(process)
        finally:
            self._is_gone = True
            process.end()
            if self._lost:
                self._notes.put(f"stats writer {self._source} has lost {self._lost} events: its process was too slow")

    def _serve(self, process: GuardedProcess) -> None:
        process.wire.send("begin", **self._begin)
        give_up_at = time.monotonic() + LOAD_TIMEOUT_S
        while not self._is_ready:
            self._listen(process, timeout_s=_POLL_S)
            if self._has_ended(process):
                return
            if time.monotonic() >= min(give_up_at, self._end_by or math.inf):
                self._notes.put(f"stats writer {self._source} is not used: it was not ready in time")
                return
        while not self._has_ended(process):
            if items := self._next_items():
                process.wire.send("told", items=items)
            self._listen(process, timeout_s=0.0)
            if self._end_by is not None and (self._items.empty() or time.monotonic() >= self._end_by):
                self._finish(process, self._end_by)
                return

    def _next_items(self) -> list[list[Any]]:
        try:
            items = [self._items.get(timeout=_POLL_S)]
        except queue.Empty:
            return []
        with suppress(queue.Empty):
            while len(items) < AT_ONCE:
                items.append(self._items.get_nowait())
        return items

    def _finish(self, process: GuardedProcess, deadline: float) -> None:
        process.wire.send("end", timeout_s=max(0.0, deadline - time.monotonic() - _MARGIN_S))
        while not self._has_ended(process) and time.monotonic() < deadline:
            self._listen(process, timeout_s=_POLL_S)
        if not self._has_said_bye and process.wire.is_open:
            self._notes.put(f"stats writer {self._source} had not come to its end in time")
        process.wait(max(0.0, deadline - time.monotonic()))  # what was registered to run at its exit

    def _listen(self, process: GuardedProcess, *, timeout_s: float) -> None:
        while message := process.wire.receive(timeout_s):
            timeout_s = 0.0
            kind = message.get("type")
            if kind == "note":
                self._notes.put(str(message.get("text")))
            self._is_ready |= kind == "ready"
            self._has_said_bye |= kind == "bye"

    def _has_ended(self, process: GuardedProcess) -> bool:
        if self._has_said_bye:
            return True
        if process.wire.is_open:
            return False
        how = process.wait(_LAST_S) or "its wire is closed"
        self._notes.put(f"stats writer {self._source} gets nothing more: its process has ended: {how}")
        return True
