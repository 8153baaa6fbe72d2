"""Commands that show what a run told: its log and its metrics."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import click

from arena_ray.cli.access import is_offline, open_reader
from arena_ray.cli.output import ABSENT, figure, output_options, print_json, print_notes, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arena_ray.orchestrator.api import LogLine, MetricSeries
    from arena_ray.orchestrator.reader import Reader


@click.command()
@click.argument("run", metavar="RUN")
@click.option("-f", "--follow", is_flag=True, help="Go on printing lines as they come, until the run has ended.")
@click.option("--last", type=click.IntRange(min=0), metavar="N", help="Begin with the last N lines.")
@output_options
def logs(run: str, follow: bool, last: int | None, as_json: bool) -> None:
    """Print what the script of a run printed.

    The attempts come in their order. With --follow and --json the document is printed when the run has ended.
    """
    with open_reader() as reader:
        if follow and is_offline(reader) and not reader.run(run).state.is_final:
            print_notes(["no cluster is up, so nothing more will come"])
        lines = reader.stream_log(run, follow=follow) if last is None else _tail(reader, run, last, follow=follow)
        if as_json:
            print_json(list(lines))
            return
        for line in lines:
            click.echo(line["text"])


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--tag", metavar="TAG", help="Print the values of this tag, one a line.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N values of each tag.")
@output_options
def metrics(run: str, tag: str | None, last: int | None, as_json: bool) -> None:
    """Show the scalars that a run logged.

    A line for each tag, or with --tag each value of that one.
    """
    with open_reader() as reader:
        series = reader.metrics(run, tag=tag, last=last)
    if as_json:
        print_json(series)
    elif tag is None:
        print_table([_series_row(each) for each in series], empty="nothing logged yet")
    else:
        points = [point for each in series for point in each.points]
        print_table([{"step": str(step), tag: figure(value)} for step, value, _ in points], empty="nothing logged yet")


def _tail(reader: Reader, run: str, last: int, *, follow: bool) -> Iterator[LogLine]:
    kept: deque[LogLine] = deque(maxlen=last)
    seen = 0
    for line in reader.stream_log(run):
        kept.append(line)
        seen += 1
    yield from kept
    if follow:
        yield from reader.stream_log(run, follow=True, after=seen)


def _series_row(series: MetricSeries) -> dict[str, str]:
    values = [value for _, value, _ in series.points if value == value]
    step, value = series.points[-1][:2] if series.points else (None, None)
    return {
        "tag": series.tag,
        "values": f"{len(series.points):,}",
        "last step": ABSENT if step is None else f"{step:,}",
        "last": figure(value),
        "min": figure(min(values, default=None)),
        "max": figure(max(values, default=None)),
    }
