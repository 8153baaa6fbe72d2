"""``arena certificate``: whether each cell of a sweep has exactly one result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from arena_ray.cli.access import open_reader
from arena_ray.cli.output import ABSENT, figure, merged, output_options, print_json, print_table

if TYPE_CHECKING:
    from arena_ray.model.certificate import Cell, Certificate


@click.command()
@click.argument("experiment")
@click.option("--execution", metavar="ID", help="Another plugin execution than the newest one.")
@output_options
def certificate(experiment: str, execution: str | None, as_json: bool) -> None:
    """Show that each cell of a plugin execution has exactly one result.

    A cell is a configuration with a seed. The exit code is 0 only if each has one run that has completed, whatever was
    killed on the way, and none is missing.
    """
    with open_reader() as reader:
        found = reader.certificate(experiment, execution)
    if as_json:
        print_json(merged(found, is_complete=found.is_complete, digest=found.digest()))
    else:
        _print_certificate(found)
    click.get_current_context().exit(0 if found.is_complete else 1)


def _print_certificate(found: Certificate) -> None:
    varied = _varied(found.cells)
    print_table([_row(cell, varied) for cell in found.cells], empty="no run was started yet")
    plural = "" if len(found.cells) == 1 else "s"
    head = f"{found.execution.plugin} on {found.execution.experiment}: {len(found.cells)} cell{plural}"
    if found.is_complete:
        click.echo(f"\n{head}, each with one result\ndigest  {found.digest()}")
        return
    click.echo(f"\n{head}, not complete:")
    for problem in found.problems:
        click.echo(f"  {problem}")


def _varied(cells: list[Cell]) -> list[str]:
    """Return the flags in which the cells differ, or else their hyperparameters."""
    names = dict.fromkeys(name for cell in cells for name in cell.flags)
    varied = [name for name in names if len({repr(cell.flags.get(name)) for cell in cells}) > 1]
    return varied or list(dict.fromkeys(name for cell in cells for name in cell.hyperparameters))


def _row(cell: Cell, varied: list[str]) -> dict[str, str]:
    accepted = next((run for run in cell.runs if run.run_id == cell.accepted), None)
    attempts = sum(len(run.attempts) for run in cell.runs)
    return {
        **{name: str(cell.flags.get(name, ABSENT)) for name in varied},
        "seed": str(cell.seed),
        "result": figure(accepted.episodic_return) if accepted else ABSENT,
        "steps": f"{accepted.global_step:,}" if accepted else ABSENT,
        "attempts": str(attempts),
        "run": accepted.name if accepted else ", ".join(f"{run.name} ({run.state})" for run in cell.runs),
    }
