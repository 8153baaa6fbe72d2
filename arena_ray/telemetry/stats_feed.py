"""What an attempt tells, passed on as statistics: to the console, and to the stats writers that are installed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from arena_ray.model.events import AttemptStarted, EpisodeSummary, Event, LogLine
from arena_ray.plugin.stats_writer import CUMULATIVE_REWARD, StatsAggregationMethod, StatsSummary
from arena_ray.plugin.writer_discovery import InstalledWriters, find_writers
from arena_ray.telemetry.console import ConsoleWriter
from arena_ray.telemetry.summaries import Gathering, Period, values_of
from arena_ray.telemetry.writers import WriterProcess, WriterTerms

END_TIMEOUT_S = 10.0
"""How long the end of an attempt waits for its writers."""


class StatsFeed:
    """Listens to one attempt. The writers are looked up when their notes are first asked for, the training running.

    Args:
        terms: What writers are told of the run.
        find: Looks them up.
        clock: Of the console's lines.
        end_timeout_s: How long the end waits for writers that have something left to take in.
    """

    def __init__(
        self,
        terms: WriterTerms,
        *,
        find: Callable[[], InstalledWriters] = find_writers,
        clock: Callable[[], float] = time.monotonic,
        end_timeout_s: float = END_TIMEOUT_S,
    ) -> None:
        self._terms = terms
        self._find = find
        self._end_timeout_s = end_timeout_s
        self._step = 0
        self._category = terms.options.checkpoint_settings.run_id
        self._hyperparameters = dict(terms.options.arena.hyperparameters)
        self._gathering = Gathering(terms.summary_steps)
        self._notes: list[str] = []
        self._console = ConsoleWriter(self._notes.append, clock=clock)
        self._processes: list[WriterProcess] = []
        self._waiting: list[list[Any]] = [["hyperparameters", self._hyperparameters]]
        self._is_open = self._is_finished = False

    def hear(self, event: Event) -> None:
        """Take in what the attempt tells."""
        if isinstance(event, AttemptStarted):
            self._step = event.global_step
            self._gathering = Gathering(self._terms.summary_steps, step=event.global_step)
        elif not isinstance(event, LogLine) and (values := values_of(event)):
            returns = values[:1] if isinstance(event, EpisodeSummary) else ()  # the console needs no more
            self._print(self._gathering.add(event.global_step, returns))
            self._give(["step", event.global_step, values])

    def set_hyperparameters(self, changed: Mapping[str, Any]) -> None:
        """Take in that these have other values from now on."""
        self._hyperparameters = {**self._hyperparameters, **changed}
        self._give(["hyperparameters", self._hyperparameters])

    def _give(self, item: list[Any]) -> None:
        if not self._is_open:
            self._waiting.append(item)
        for process in self._processes:
            process.give(item)

    def _print(self, period: Period | None) -> None:
        if period is not None:
            returns = period.values.get(CUMULATIVE_REWARD)
            summary = {CUMULATIVE_REWARD: StatsSummary(returns, StatsAggregationMethod.AVERAGE)} if returns else {}
            self._console.write_stats(self._category, summary, period.step)

    def take_notes(self) -> list[str]:
        """Return what the run's log is to be told."""
        if not self._is_open:
            self._open()
        notes, self._notes[:] = [*self._notes], []
        return notes + [note for process in self._processes for note in process.take_notes()]

    def _open(self) -> None:
        self._is_open = True
        try:
            installed = self._find()
        except Exception as exc:  # noqa: BLE001 - whatever a package's broken metadata raises
            self._notes.append(f"stats writers could not be looked up: {type(exc).__name__}: {exc}")
            return
        self._notes += installed.notes
        self._processes = [WriterProcess(source, self._terms, step=self._step) for source in installed.sources]
        for item in self._waiting:
            for process in self._processes:
                process.give(item)
        self._waiting.clear()

    def finish(self) -> None:
        """Pass on what is left, and wait until it is taken in, but not for ever."""
        if self._is_finished:
            return
        self._is_finished = True
        self._print(self._gathering.rest())
        deadline = time.monotonic() + self._end_timeout_s
        for process in self._processes:
            process.end(deadline)
        for process in self._processes:
            process.wait()
