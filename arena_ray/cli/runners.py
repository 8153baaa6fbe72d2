"""The commands about runners: which there are, with their scripts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from textwrap import indent
from typing import TYPE_CHECKING

import click

from arena_ray.cli.output import output_options, print_json

if TYPE_CHECKING:
    from arena_ray.runner.protocol import Runner


@dataclass(frozen=True)
class ListedRunner:
    """A runner as ``arena runners`` shows it; ``problem`` says why it cannot be used."""

    name: str
    description: str = ""
    scripts: tuple[str, ...] = ()
    problem: str | None = None


def listed_runners() -> list[ListedRunner]:
    """Return all runners that are installed, by name, usable or not."""
    from arena_ray.runner import discovery

    installed = discovery.load_runners()
    found = [_listed(runner) for runner in installed.runners.values()]
    found += [ListedRunner(name=each.name, problem=each.reason) for each in installed.broken]
    return sorted(found, key=lambda each: each.name)


def _listed(runner: Runner) -> ListedRunner:
    try:
        scripts = tuple(sorted(runner.scripts()))
    except Exception as exc:  # noqa: BLE001 - somebody else's code: it must not keep the others from being listed
        return ListedRunner(name=runner.name, problem=f"its scripts cannot be listed: {type(exc).__name__}: {exc}")
    return ListedRunner(name=runner.name, description=runner.description, scripts=scripts)


@click.group(invoke_without_command=True)
@output_options
@click.pass_context
def runners(ctx: click.Context, as_json: bool) -> None:
    """List the runners and the scripts that they ship.

    Of one that cannot be used it says what is wrong with it.
    """
    if ctx.invoked_subcommand is not None:
        return
    found = listed_runners()
    if as_json:
        print_json([asdict(each) for each in found])
        return
    for each in found:
        click.echo(f"{each.name}: {'cannot be used' if each.problem else each.description}")
        click.echo(indent(each.problem or ", ".join(each.scripts) or "no scripts of its own", "    "))
    if not found:
        click.echo("no runner is installed")
