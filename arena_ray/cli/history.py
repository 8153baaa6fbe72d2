"""Commands about what was tried and what was noted: the revisions of an experiment, and its notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from arena_ray.cli.access import open_reader
from arena_ray.cli.output import ABSENT, moment, output_options, print_json, print_table

if TYPE_CHECKING:
    from arena_ray.model.records import Note, Revision


@click.command()
@click.argument("experiment")
@output_options
def revisions(experiment: str, as_json: bool) -> None:
    """List the revisions of an experiment: its configurations, by number."""
    with open_reader() as reader:
        found = reader.revisions(experiment)
    if as_json:
        print_json(found)
    else:
        numbers = {each.revision_id: str(each.number) for each in found}
        print_table([_row(each, numbers) for each in found], empty="no revision yet")


def _row(revision: Revision, numbers: dict[str, str]) -> dict[str, str]:
    values = ", ".join(f"{name} {value}" for name, value in revision.hyperparameters.items())
    return {
        "revision": str(revision.number),
        "name": revision.name or ABSENT,
        "parent": numbers.get(revision.parent_id or "", ABSENT),
        "hyperparameters": values or ABSENT,
        "notes": (revision.notes or ABSENT).splitlines()[0],
    }


@click.command()
@click.argument("experiment")
@output_options
def notes(experiment: str, as_json: bool) -> None:
    """Print the notes on an experiment and its runs, oldest first."""
    with open_reader() as reader:
        found, names = reader.notes(experiment), {run.run_id: run.name for run in reader.runs(experiment)}
    if as_json:
        print_json(found)
        return
    print_notes(found, names)
    if not found:
        click.echo("no note yet")


def print_notes(found: Iterable[Note], names: Mapping[str, str]) -> None:
    """Print notes, each with the time at which it was written and the run that it is on, whose *names* are by id."""
    for note in found:
        name = names.get(note.run_id or "")
        run = f"{name}: " if name else ""
        click.echo(f"{moment(note.created_at)}  {run}{note.text}")
