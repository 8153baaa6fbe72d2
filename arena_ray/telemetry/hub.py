"""The hub takes in what runs tell: each event once, in order, archived before it is acknowledged."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from arena_ray.model.events import (
    EPISODIC_RETURN,
    GPU_UTILIZATION,
    AttemptStarted,
    Batch,
    CheckpointSaved,
    EpisodeSummary,
    Event,
    LogLine,
    LogPage,
    MetricPoint,
    TookOver,
    TrainingStep,
)
from arena_ray.model.paths import RunFiles, Workspace
from arena_ray.telemetry.archive import ArchiveWriter, decode_event, encode_event, live_events, read_log, read_rows
from arena_ray.telemetry.marks import NOWHERE, Marks, Standing
from arena_ray.telemetry.rings import Rings


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def extend_digest(digest: _Digest, event: Event, *, timing_tags: frozenset[str]) -> None:
    """Add the metric rows of *event* to a sha256; those that tell of the clock or of the machine are left out."""
    if isinstance(event, TrainingStep):
        for tag, value in event.scalars.items():
            if tag not in timing_tags and tag != GPU_UTILIZATION:
                digest.update(f"{tag}\t{event.global_step}\t{value!r}\n".encode())


class RunTelemetry:
    """Rings, archives and running digest of one run; rebuilt from the archives when first touched."""

    def __init__(self, files: RunFiles, *, timing_tags: frozenset[str]) -> None:
        self._files = files
        self._timing_tags = timing_tags
        self.rings = Rings()
        self._digest: _Digest = hashlib.sha256()
        self._marks = Marks()
        self._metrics_seq = self._rebuild()
        self._log_seq = {row["attempt"]: row["seq"] for row in read_rows(files.log)}
        self._metrics = ArchiveWriter.open(files.metrics)
        self._log = ArchiveWriter.open(files.log)

    def _rebuild(self) -> dict[int, int]:
        seq: dict[int, int] = {}
        generation, newest = 0, NOWHERE
        for row in read_rows(self._files.metrics):
            seq[row["attempt"]] = row["seq"]
            event = decode_event(row)
            self.rings.add(event, attempt=row["attempt"])
            if isinstance(event, AttemptStarted | TookOver):
                generation = event.generation
            if isinstance(event, AttemptStarted):
                newest = NOWHERE
            elif isinstance(event, TrainingStep | EpisodeSummary | TookOver):
                newest = (event.boundary, generation)
        self._marks.begin(generation=generation, lost=newest)
        self._digest = self._digest_of(lambda *_: True)
        return seq

    def _digest_of(self, counts: Callable[[int, Event], bool]) -> _Digest:
        """Return the digest of what stands in the archive and *counts*."""
        digest = hashlib.sha256()
        for attempt, event in live_events(self._files.metrics):
            if counts(attempt, event):
                extend_digest(digest, event, timing_tags=self._timing_tags)
        return digest

    def add(self, batch: Batch) -> list[tuple[CheckpointSaved, Standing]]:
        """Archive and take in the events of *batch* that are new.

        Returns:
            The checkpoints among all its events, each with the run's standing when it was taken; they may have been
            returned before, where a batch is repeated.

        Raises:
            OSError: The archive cannot be written; nothing was acknowledged.
        """
        numbered = list(enumerate(batch.events, start=batch.first_seq))
        logs = [(seq, event) for seq, event in numbered if isinstance(event, LogLine)]
        self._log.append(self._new_rows(logs, self._log_seq, batch.attempt))
        if logs:
            self._log_seq[batch.attempt] = max(logs[-1][0], self._log_seq.get(batch.attempt, -1))
        metrics = [(seq, event) for seq, event in numbered if not isinstance(event, LogLine | CheckpointSaved)]
        self._metrics.append(self._new_rows(metrics, self._metrics_seq, batch.attempt))
        saved: list[tuple[CheckpointSaved, Standing]] = []
        metrics_seen = self._metrics_seq.get(batch.attempt, -1)
        for seq, event in numbered:
            if isinstance(event, CheckpointSaved):
                self._metrics.sync()
                saved.append((event, self._standing_at(event)))
            elif not isinstance(event, LogLine) and seq > metrics_seen:
                self._take_in(event, batch.attempt)
                self._metrics_seq[batch.attempt] = seq
        return saved

    def _new_rows(
        self, events: Iterable[tuple[int, Event]], seen: dict[int, int], attempt: int
    ) -> list[dict[str, Any]]:
        known = seen.get(attempt, -1)
        return [encode_event(event, seq=seq, attempt=attempt) for seq, event in events if seq > known]

    def _take_in(self, event: Event, attempt: int) -> None:
        if isinstance(event, TrainingStep | EpisodeSummary | TookOver):
            self._marks.pass_by(event, self._standing)
        self.rings.add(event, attempt=attempt)
        if isinstance(event, AttemptStarted):
            self._marks.begin(generation=event.generation)
            self._digest = self._digest_of(lambda earlier, _: earlier < attempt)
        else:
            extend_digest(self._digest, event, timing_tags=self._timing_tags)

    def _standing(self) -> Standing:
        return Standing(self._digest.hexdigest(), self.rings.episodic_return())

    def _standing_at(self, saved: CheckpointSaved) -> Standing:
        """Return the standing when the checkpoint was taken: it is told of once it is written, the training goes on."""
        try:
            return self._marks.find((saved.boundary, saved.generation)) or self._standing()
        except LookupError:
            digest = self._digest_of(
                lambda _, event: isinstance(event, TrainingStep) and event.boundary < saved.boundary
            )
            return Standing(digest.hexdigest(), self.rings.episodic_return())

    def log_page(self, *, after: int, limit: int | None) -> LogPage:
        """Return lines of the log from its archive."""
        return read_log(self._files.log, after=after, limit=limit)

    def close(self) -> None:
        """Close the archives."""
        self._metrics.close()
        self._log.close()


class Hub:
    """All runs' telemetry. Thread-safe: one lock a run."""

    def __init__(self, workspace: Workspace, *, timing_tags: frozenset[str] = frozenset()) -> None:
        self._workspace = workspace
        self._timing_tags = timing_tags
        self._lock = threading.Lock()
        self._runs: dict[str, tuple[RunTelemetry, threading.Lock]] = {}

    def _of(self, run_name: str) -> tuple[RunTelemetry, threading.Lock]:
        with self._lock:
            if run_name not in self._runs:
                self._runs[run_name] = (self._open(run_name), threading.Lock())
            return self._runs[run_name]

    def _open(self, run_name: str) -> RunTelemetry:
        return RunTelemetry(self._workspace.run(run_name), timing_tags=self._timing_tags)

    def add(self, run_name: str, batch: Batch) -> list[tuple[CheckpointSaved, Standing]]:
        """Take in a batch of the run; see :meth:`RunTelemetry.add`."""
        telemetry, lock = self._of(run_name)
        with lock:
            return telemetry.add(batch)

    def episodic_return(self, run_name: str) -> float:
        """Return the run's mean return over its last episodes; NaN where none has ended."""
        telemetry, lock = self._of(run_name)
        with lock:
            return telemetry.rings.episodic_return()

    def score(self, run_name: str, metric: str) -> float | None:
        """Return the newest value of *metric* for the run's weights as they are; None where nothing was measured.

        Args:
            run_name: The run.
            metric: ``episodic_return``, the mean over its last episodes, or a tag.
        """
        telemetry, lock = self._of(run_name)
        with lock:
            rings = telemetry.rings
            if metric != EPISODIC_RETURN:
                return rings.newest(metric)
            return rings.episodic_return() if rings.has_episodes else None

    def recent_metrics(
        self, run_name: str, count: int | None, *, tag: str | None = None
    ) -> dict[str, list[MetricPoint]]:
        """Return up to *count* newest points of *tag*, or of every tag."""
        telemetry, lock = self._of(run_name)
        with lock:
            tags = telemetry.rings.tags() if tag is None else [tag]
            return {name: telemetry.rings.points(name, last=count) for name in tags}

    def log_page(self, run_name: str, *, after: int, limit: int | None = None) -> LogPage:
        """Return up to *limit* lines of the run's log after the first *after* ones."""
        telemetry, _ = self._of(run_name)
        return telemetry.log_page(after=after, limit=limit)

    def forget(self, run_name: str) -> None:
        """Close the archives of a run that has ended; they open again when asked for."""
        with self._lock:
            telemetry = self._runs.pop(run_name, None)
        if telemetry:
            with telemetry[1]:
                telemetry[0].close()

    def close(self) -> None:
        """Close all archives."""
        for run_name in list(self._runs):
            self.forget(run_name)
