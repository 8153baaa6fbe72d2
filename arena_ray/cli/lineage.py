"""``arena lineage``: where the weights of an experiment's runs come from, and with what they were trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from arena_ray.cli.access import open_reader
from arena_ray.cli.output import figure, merged, output_options, print_json
from arena_ray.model.errors import NotFound

if TYPE_CHECKING:
    from arena_ray.model.records import Lineage
    from arena_ray.orchestrator.reader import Reader


@click.command()
@click.argument("experiment", metavar="EXPERIMENT")
@click.option(
    "--execution",
    metavar="PLUGIN_OR_ID",
    help="Another plugin execution than the newest: the newest of PLUGIN, or by id.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw it into FILE, a .png or .svg, instead of printing it.",
)
@click.option(
    "--colour",
    default="score",
    show_default=True,
    metavar="NAME",
    help="By what the plot is coloured: score, or a hyperparameter.",
)
@output_options
def lineage(experiment: str, execution: str | None, plot: Path | None, colour: str, as_json: bool) -> None:
    """Show where the weights of an experiment's runs come from.

    For each run of the newest plugin execution, the best first: in which runs its weights were trained, from which
    step on, and with which hyperparameters. The plot has a line for each run, and an arrow for each exploit, from
    donor to receiver; the way to the best run's weights is bold.
    """
    from arena_ray.cli.ranking import Ranking

    with open_reader() as reader:
        found = reader.lineage(experiment, _require_execution(reader, experiment, execution) if execution else None)
    winner = Ranking(found).winner if found.execution is not None else None
    if plot is not None:
        from arena_ray.plots.lineage import save_lineage

        save_lineage(found, plot, colour=colour)
        click.echo(f"drawn into {plot}", err=True)
    if as_json:
        print_json(merged(found, winner=winner.run_id if winner else None))
    elif plot is not None:
        return
    elif found.execution is None:
        click.echo(
            f"no plugin has steered experiment {found.experiment}: each of its runs began with weights of its own"
        )
    else:
        _print_lineage(found)


def _require_execution(reader: Reader, experiment: str, key: str) -> str:
    """Return the id of the experiment's execution of this id, or the newest one of the plugin of this name."""
    executions = reader.executions(experiment)
    for each in executions:
        if key in (each.execution_id, each.plugin):
            return each.execution_id
    raise NotFound("execution", key, known=[name for each in executions for name in (each.plugin, each.execution_id)])


def _print_lineage(lineage: Lineage) -> None:
    from arena_ray.cli.ancestry import ancestry_lines
    from arena_ray.cli.ranking import Ranking, label

    ranking = Ranking(lineage)
    execution = ranking.execution
    applied = sum(each.outcome == "applied" for each in lineage.exploits)
    click.echo(f"{execution.plugin} on {execution.experiment}: {execution.state.value}, {applied} exploits")
    for run in ranking.ranked:
        is_winner = ranking.winner is not None and run.run_id == ranking.winner.run_id
        told = f"{run.state.value}, {ranking.metric_name} {figure(ranking.score(run))}"
        click.echo(f"\n{label(run)}  {run.name}  {told}{' (the best)' if is_winner else ''}")
        for line in ancestry_lines(ranking, run):
            click.echo(line)
    if not lineage.runs:
        click.echo("no run was started yet")
