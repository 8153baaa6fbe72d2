"""Watching a run: a view that redraws itself on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import IO, TYPE_CHECKING, Generic, Protocol, Self, TypeVar

import click

from arena_ray.cli.output import ABSENT, figure, printable, span
from arena_ray.cli.progress import is_terminal
from arena_ray.model.states import RunState

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from arena_ray.model.records import Run
    from arena_ray.orchestrator.client import ArenaClient

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)

PLAIN_INTERVAL_S = 5.0
_FIRST_PAUSE_S = 0.05
COLOURS = {RunState.RUNNING: "green", RunState.FAILED: "red", RunState.PAUSED: "yellow", RunState.COMPLETED: "green"}


@dataclass(frozen=True)
class Sight:
    """What there is to see of a run at one moment. ``total_steps`` is None where nobody said how many there will be."""

    run: Run
    total_steps: int | None = None
    last_line: str = ""

    @property
    def eta_s(self) -> float:
        """Seconds that the run will take to its last step, NaN where that cannot be said."""
        speed = self.run.steps_per_second
        if self.total_steps is None or self.run.state is not RunState.RUNNING or not speed > 0:
            return math.nan
        return max(0, self.total_steps - self.run.global_step) / speed

    @property
    def eta(self) -> str:
        """The same for people."""
        return span(self.eta_s) if math.isfinite(self.eta_s) else ABSENT

    @property
    def steps(self) -> str:
        """Steps done, of how many, in percent."""
        return steps_done(self.run, self.total_steps)

    def sentence(self) -> str:
        """Return one plain line that says it all."""
        run = self.run
        parts = [
            f"{run.name}: {run.state.value}",
            f"attempt {run.attempt}",
            f"step {self.steps}",
            f"return {figure(run.episodic_return)}",
            f"{figure(run.steps_per_second)} steps/s",
        ]
        return ", ".join(parts + ([f"{self.eta} to go"] if math.isfinite(self.eta_s) else []))


def steps_done(run: Run, total_steps: int | None) -> str:
    """Return the steps that *run* has done, and where *total_steps* is known of how many, in percent."""
    if not total_steps:
        return f"{run.global_step:,}"
    return f"{run.global_step:,} of {total_steps:,} ({min(1.0, run.global_step / total_steps):.0%})"


class View(Protocol[S_contra]):
    """Shows one sight after the other; *poll_s* is how often it wants one, *shows_log* whether with the last line."""

    poll_s: float
    shows_log: bool

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, sight: S_contra) -> None:
        """Show *sight* in the place of the one before."""
        ...


class PlainView:
    """A line every five seconds, and at once where the run's state or attempt has changed."""

    poll_s = 0.5
    shows_log = False

    def __init__(self, stream: IO[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._shown: tuple[RunState, int] | None = None
        self._next_at = -math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave what was printed."""

    def show(self, sight: Sight) -> None:
        """Print *sight* if it is time."""
        stands, now = (sight.run.state, sight.run.attempt), self._clock()
        if stands == self._shown and now < self._next_at:
            return
        click.echo(sight.sentence(), file=self._stream)
        self._shown, self._next_at = stands, now + PLAIN_INTERVAL_S


class LiveView(Generic[S]):
    """Redraws itself in place; gone when what it shows has ended."""

    poll_s = 0.4
    shows_log = True

    def __init__(self, stream: IO[str], draw: Callable[[S], RenderableType]) -> None:
        self._stream = stream
        self._draw = draw
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(file=self._stream), refresh_per_second=4, transient=True)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, sight: S) -> None:
        """Draw *sight*."""
        if self._live:
            self._live.update(self._draw(sight))


def drawing(sight: Sight) -> RenderableType:
    """Return *sight* as rich draws it. Text of the run is never read as markup."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    run = sight.run
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(no_wrap=True, overflow="ellipsis")
    state = f"{run.state.value}, attempt {run.attempt}" + (f" on {run.node}" if run.node else "")
    grid.add_row("run", Text(run.name))
    grid.add_row("state", Text(state, style=COLOURS.get(run.state, "")))
    grid.add_row("step", Text(sight.steps))
    if sight.total_steps:
        grid.add_row("", ProgressBar(total=sight.total_steps, completed=run.global_step, width=40))
    grid.add_row("return", Text(figure(run.episodic_return)))
    grid.add_row("steps/s", Text(figure(run.steps_per_second)))
    grid.add_row("to go", Text(sight.eta))
    grid.add_row("log", Text(printable(sight.last_line)))
    return grid


def view_for(stream: IO[str]) -> View[Sight]:
    """Return the view that suits *stream*."""
    return LiveView(stream, drawing) if is_terminal(stream) else PlainView(stream)


def pauses(longest_s: float) -> Iterator[float]:
    """Yield how many seconds to wait before each next look: what ends at once is told at once."""
    pause_s = _FIRST_PAUSE_S
    while True:
        yield min(pause_s, longest_s)
        pause_s *= 2


def watch(
    client: ArenaClient,
    run: Run,
    *,
    total_steps: int | None,
    view: View[Sight],
    until: Callable[[Run], bool] = lambda _: False,
) -> Run:
    """Show *run* until it has ended, is paused or is as *until* wants it, and return it as it is then."""
    after, last_line, waiting = 0, "", pauses(view.poll_s)
    with view:
        while True:
            run = client.run(run.run_id)
            for line in client.stream_log(run.run_id, after=after) if view.shows_log else ():
                after, last_line = after + 1, line["text"] if line["text"].strip() else last_line
            view.show(Sight(run, total_steps, last_line))
            if run.state.is_final or run.state is RunState.PAUSED or until(run):
                return run
            time.sleep(next(waiting))
