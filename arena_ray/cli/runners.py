"""The commands about runners: which there are, with their scripts, and making the environment that one needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from textwrap import indent
from typing import TYPE_CHECKING

import click

from arena_ray.cli.access import workspace
from arena_ray.cli.output import output_options, print_facts, print_json
from arena_ray.cli.progress import Progress
from arena_ray.model.errors import NotFound

if TYPE_CHECKING:
    from arena_ray.runner.protocol import Runner


@dataclass(frozen=True)
class ListedRunner:
    """A runner as ``arena runners`` shows it; ``problem`` says why it cannot be used."""

    name: str
    description: str = ""
    scripts: tuple[str, ...] = ()
    problem: str | None = None
    setup: str | None = None
    """``complete``, ``interrupted`` or ``needed``: how far its own environment is, for a runner that has one."""


def listed_runners() -> list[ListedRunner]:
    """Return all runners that are installed, by name, usable or not."""
    from arena_ray.runner import discovery

    installed = discovery.load_runners()
    found = [_listed(runner) for runner in installed.runners.values()]
    found += [ListedRunner(name=each.name, problem=each.reason) for each in installed.broken]
    return sorted(found, key=lambda each: each.name)


def _listed(runner: Runner) -> ListedRunner:
    from arena_ray.runner.installation import get_installation
    from arena_ray.runner.protocol import Installable

    try:
        scripts = tuple(sorted(runner.scripts()))
    except Exception as exc:  # noqa: BLE001 - somebody else's code: it must not keep the others from being listed
        return ListedRunner(name=runner.name, problem=f"its scripts cannot be listed: {type(exc).__name__}: {exc}")
    if not isinstance(runner, Installable):
        return ListedRunner(name=runner.name, description=runner.description, scripts=scripts)
    installation = get_installation(workspace(), runner.name)
    setup = "needed" if installation is None else "complete" if installation.is_complete else "interrupted"
    originals = tuple(installation.script_files()) if installation is not None else ()
    return ListedRunner(name=runner.name, description=runner.description, scripts=(*scripts, *originals), setup=setup)


@click.group(invoke_without_command=True)
@output_options
@click.pass_context
def runners(ctx: click.Context, as_json: bool) -> None:
    """List the runners and their scripts, or make the environment that one needs.

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
        if each.setup in ("needed", "interrupted"):
            click.echo(f"    original scripts besides, after: arena runners setup {each.name}")
    if not found:
        click.echo("no runner is installed")


@runners.command()
@click.argument("name", metavar="RUNNER")
@click.option(
    "--from",
    "source",
    metavar="PATH|GIT_URL",
    help="Repository of the original scripts: a clone, used where it is, or what git is to clone.",
)
@click.option("--python", metavar="VERSION|PATH", help="Interpreter to make the environment with.")
@output_options
def setup(name: str, source: str | None, python: str | None, as_json: bool) -> None:
    """Make the environment in which the original scripts of a runner run as they are.

    A setup that was interrupted goes on where it was; one that is complete is checked. What is not said is taken from
    the one before, or else from the runner.
    """
    from arena_ray.runner.discovery import load_runners
    from arena_ray.runner.installation import get_installation
    from arena_ray.runner.interpreters import find_interpreter
    from arena_ray.runner.protocol import Installable
    from arena_ray.runner.setup import Setup

    usable = {each: runner for each, runner in load_runners().runners.items() if isinstance(runner, Installable)}
    if name not in usable:
        raise NotFound("runner with an environment of its own", name, known=usable)
    before = get_installation(workspace(), name)
    recipe = usable[name].recipe
    with Progress() as progress:
        made = Setup(
            name,
            recipe,
            files=workspace().runner(name),
            python=find_interpreter(python or (before.python if before else recipe.python)),
            source=source or (before.source if before else None),
            on_progress=progress.say,
        ).run(before)
    if as_json:
        print_json(made)
        return
    names = list(made.script_files())
    print_facts(
        [
            ("runner", name),
            ("interpreter", made.interpreter),
            ("repository", made.repository),
            ("scripts", f"{len(names)}, such as {names[0]}"),
        ]
    )
