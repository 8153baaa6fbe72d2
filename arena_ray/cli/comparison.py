"""Commands that compare the runs of an experiment: the ranking of its configurations, and what made the difference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import click

from arena_ray.cli.access import open_reader
from arena_ray.cli.output import figure, output_options, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from arena_ray.model.configurations import Configuration, ConfigurationRanking
    from arena_ray.model.importance import Importance

F = TypeVar("F", bound="Callable[..., Any]")


def _comparison_options(command: F) -> F:
    """Give *command* the options that say by what runs are compared."""
    metric = click.option(
        "--metric", metavar="TAG", help="Compare by this tag, or episodic_return; by default as the plugin does."
    )
    mode = click.option("--mode", type=click.Choice(["max", "min"]), help="Whether more of it is better, or less.")
    return metric(mode(command))


@click.command()
@click.argument("experiment")
@_comparison_options
@output_options
def ranking(experiment: str, metric: str | None, mode: Literal["max", "min"] | None, as_json: bool) -> None:
    """Rank the configurations of an experiment over their seeds.

    Runs of the newest plugin execution that differ in nothing but their seeds are one configuration. It is judged by
    the interquartile mean over its seeds; a seed without a score counts as worse than all.
    """
    with open_reader() as reader:
        found = reader.ranking(experiment, metric, mode)
    if as_json:
        print_json(found)
        return
    print_configurations(found)
    if found.unfinished:
        click.echo(f"{found.unfinished} runs that have not ended are left out")


def print_configurations(ranking: ConfigurationRanking) -> None:
    """Print the table of configurations, each with interquartile mean and interval over its seeds."""
    names = list(dict.fromkeys(name for each in ranking.configurations for name in each.hyperparameters))
    metric = "return" if ranking.metric == "episodic_return" else ranking.metric
    rows = [
        _row(place, each, names=names, metric=metric, confidence=ranking.confidence)
        for place, each in enumerate(ranking.configurations, start=1)
    ]
    print_table(rows, empty="no run has ended yet")


def _row(place: int, each: Configuration, *, names: list[str], metric: str, confidence: float) -> dict[str, str]:
    from arena_ray.cli.ranking import setting

    return {
        "rank": str(place),
        **{name: setting(each.hyperparameters[name]) if name in each.hyperparameters else "-" for name in names},
        "seeds": str(len(each.seeds)),
        "missing": str(each.missing),
        f"IQM of {metric}": figure(each.iqm),
        f"{confidence:.0%} interval": "-" if _is_open(each) else f"{figure(each.low)} to {figure(each.high)}",
        "beats next": figure(each.probability_of_improvement),
    }


def _is_open(each: Configuration) -> bool:
    return math.isnan(each.low) and math.isnan(each.high)


@click.command()
@click.argument("experiment")
@_comparison_options
@output_options
def importance(experiment: str, metric: str | None, mode: Literal["max", "min"] | None, as_json: bool) -> None:
    """Tell how much each hyperparameter has to do with what an experiment's runs have reached.

    Each configuration of the newest plugin execution counts once, by the interquartile mean over its seeds. Where there
    are too few, it says how many it takes.
    """
    with open_reader() as reader:
        found = reader.importance(experiment, metric, mode)
    if as_json:
        print_json(found)
    else:
        _print_importance(found)


def _print_importance(found: Importance) -> None:
    if found.reason is not None:
        click.echo(f"nothing can be said yet: {found.reason}")
    else:
        rows = [{"hyperparameter": name, "share": f"{share:.1%}"} for name, share in found.importances.items()]
        print_table(rows, empty="no hyperparameter was tuned")
        click.echo(f"{found.evaluator} of {found.metric} over {found.configurations} configurations")
    if found.left_out:
        told = "; ".join(f"{count} {reason}" for reason, count in found.left_out.items())
        click.echo(f"runs that are left out, by why: {told}")
