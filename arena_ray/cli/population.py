"""Watching the runs of a plugin execution: a table that redraws itself on a terminal, lines elsewhere."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

import click

from arena_ray.cli.ancestry import exploit_sentence
from arena_ray.cli.live import COLOURS, PLAIN_INTERVAL_S, LiveView, View, pauses, steps_done
from arena_ray.cli.output import figure
from arena_ray.cli.progress import is_terminal
from arena_ray.cli.ranking import Ranking, label
from arena_ray.model.states import ACTIVE_STATES, AT_WORK, ExecutionState, RunState

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from arena_ray.model.records import Exploit, Lineage, Run
    from arena_ray.orchestrator.client import ArenaClient

_SHOWN_EXPLOITS = 4
_LINES_AROUND = 12
_LEAST_ROWS = 4
_END_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Population:
    """What there is to see of a plugin execution at one moment."""

    lineage: Lineage
    total_steps: int | None = None

    @cached_property
    def ranking(self) -> Ranking:
        """The runs in comparison."""
        return Ranking(self.lineage)

    def heading(self) -> str:
        """Return one line about all of it."""
        execution, runs = self.ranking.execution, self.lineage.runs
        states = {state: sum(run.state is state for run in runs) for state in RunState}
        counted = ", ".join(f"{number} {state.value}" for state, number in states.items() if number) or "no run yet"
        return f"{execution.plugin} on {execution.experiment}: {execution.state.value}; runs: {counted}"

    def sentence(self, run: Run) -> str:
        """Return one plain line that says all about *run*."""
        parts = [
            f"{label(run)}: {run.state.value}",
            f"step {steps_done(run, self.total_steps)}",
            f"return {figure(run.episodic_return)}",
            f"{figure(run.steps_per_second)} steps/s",
            *(f"{name} {value}" for name, value in self.ranking.tuned_values(run).items()),
        ]
        return ", ".join(parts)

    def shown_runs(self, limit: int) -> list[Run]:
        """Return the runs by their number; where there are more than *limit*, those that are at work come first."""
        runs = self.lineage.runs
        if len(runs) > limit:
            runs = sorted(runs, key=lambda run: (run.state not in AT_WORK, run.state not in ACTIVE_STATES))[:limit]
        return sorted(runs, key=lambda run: (run.member is None, run.member))


class PlainPopulationView:
    """A line a run every five seconds, never more than one a second; what changes and exploits are told at once."""

    poll_s = 0.5
    shows_log = False

    def __init__(self, stream: IO[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._states: dict[str, tuple[RunState, int]] = {}
        self._steps: dict[str, int] = {}
        self._exploits: set[str] = set()
        self._next_at = -math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave what was printed."""

    def show(self, sight: Population) -> None:
        """Print what is new, and if it is time what the runs have done since they were told of."""
        now = self._clock()
        is_time = now >= self._next_at
        is_first = not self._states
        for exploit in sight.lineage.exploits:
            self._tell_exploit(exploit, sight, is_known=is_first)
        for run in sight.lineage.runs:
            stands = (run.state, run.attempt)
            has_moved = run.global_step != self._steps.get(run.run_id)
            if stands != self._states.get(run.run_id) or (is_time and has_moved):
                click.echo(sight.sentence(run), file=self._stream)
                self._states[run.run_id], self._steps[run.run_id] = stands, run.global_step
        if is_time:
            at_work = sum(run.state in AT_WORK for run in sight.lineage.runs)
            self._next_at = now + max(PLAIN_INTERVAL_S, at_work)

    def _tell_exploit(self, exploit: Exploit, sight: Population, *, is_known: bool) -> None:
        sentence = exploit_sentence(exploit, sight.ranking)
        if sentence not in self._exploits and not is_known:
            click.echo(sentence, file=self._stream)
        self._exploits.add(sentence)


def drawing(sight: Population, *, height: int | None = None) -> RenderableType:
    """Return *sight* as rich draws it in *height* lines, by default those of the terminal."""
    from rich.console import Group
    from rich.text import Text

    lines = height or shutil.get_terminal_size().lines
    exploits = sight.lineage.exploits[-_SHOWN_EXPLOITS:]
    shown = sight.shown_runs(max(_LEAST_ROWS, lines - _LINES_AROUND))
    parts: list[RenderableType] = [Text(sight.heading(), style="bold"), _table(sight, shown)]
    if len(shown) < len(sight.lineage.runs):
        parts.append(Text(f"and {len(sight.lineage.runs) - len(shown)} more", style="dim"))
    parts += [Text(exploit_sentence(exploit, sight.ranking)) for exploit in reversed(exploits)]
    return Group(*parts)


def _table(sight: Population, runs: list[Run]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("run", min_width=6)  # the one that gives way where the terminal is narrow
    step = f"step\nof {sight.total_steps:,}" if sight.total_steps else "step"
    for name in ("state", step, "return", "SPS", *sight.ranking.tuned, "exploits"):
        table.add_column(Text(name), no_wrap=True, justify="left" if name == "state" else "right")
    for run in runs:
        table.add_row(
            Text(f"{run.member} {run.name}", no_wrap=True, overflow="ellipsis"),
            Text(run.state.value, style=COLOURS.get(run.state, "")),
            f"{run.global_step:,}",
            figure(run.episodic_return),
            figure(run.steps_per_second),
            *(Text(value) for value in sight.ranking.tuned_values(run).values()),
            str(run.generation),
        )
    return table


def view_for(stream: IO[str]) -> View[Population]:
    """Return the view that suits *stream*."""
    return LiveView(stream, drawing) if is_terminal(stream) else PlainPopulationView(stream)


def watch(
    client: ArenaClient, experiment: str, *, execution_id: str, total_steps: int | None, view: View[Population]
) -> Lineage:
    """Show a plugin execution until it has ended or is paused, and its runs with it; return how it stands then."""
    deadline, waiting = math.inf, pauses(view.poll_s)
    with view:
        while True:
            lineage = client.lineage(experiment, execution_id)
            view.show(Population(lineage, total_steps))
            if not is_under_way(lineage):
                deadline = min(deadline, time.monotonic() + _END_PATIENCE_S)
                if time.monotonic() >= deadline or not any(run.state in AT_WORK for run in lineage.runs):
                    return lineage
            time.sleep(next(waiting))


def is_under_way(lineage: Lineage) -> bool:
    """Whether the plugin execution has neither ended nor is paused."""
    return lineage.execution is not None and lineage.execution.state is ExecutionState.RUNNING
