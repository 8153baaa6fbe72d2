"""The ``arena`` command: its sub-commands, and how errors leave it."""

from __future__ import annotations

import traceback
from typing import Any

import click

from arena_ray.cli import (
    about,
    certificate,
    cluster,
    comparison,
    doctor,
    history,
    inspect,
    lineage,
    plugins,
    policies,
    prove,
    reading,
    run,
    runners,
    steering,
    successors,
    telemetry,
)
from arena_ray.cli.output import DEBUG, report_error

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


class ArenaGroup(click.Group):
    """A group that lists its commands in the order in which they were added and turns errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of a day's work."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error becomes a line on standard error and an exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as exc:  # noqa: BLE001 - the border: people get a line, --debug shows the rest
            if ctx.meta.get(DEBUG):
                click.echo(traceback.format_exc(), err=True, nl=False)
            report_error(exc)
            ctx.exit(EXIT_ERROR)


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        import arena_ray

        click.echo(f"arena_ray {arena_ray.__version__}")
        ctx.exit()


@click.group(cls=ArenaGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
def arena() -> None:
    """Run reinforcement-learning scripts that nobody had to change, on one machine or a Ray cluster.

    The working directory is the workspace, or the directory that ARENA_HOME names; everything is kept in its
    var/training. Each command takes --json to print one JSON document for programs.
    """


for _command in (
    run.run,
    prove.prove,
    reading.experiments,
    reading.runs,
    reading.show,
    lineage.lineage,
    certificate.certificate,
    comparison.ranking,
    comparison.importance,
    successors.replay_schedule,
    successors.promote,
    history.revisions,
    history.notes,
    telemetry.logs,
    telemetry.metrics,
    reading.checkpoints,
    policies.deploy,
    policies.undeploy,
    policies.policies,
    policies.act,
    policies.evaluate,
    steering.stop,
    steering.pause,
    steering.resume,
    cluster.up,
    cluster.down,
    cluster.status,
    doctor.doctor,
    runners.runners,
    plugins.plugins,
    about.settings,
):
    arena.add_command(_command)
runners.runners.add_command(inspect.inspect)


def main() -> None:
    """Run ``arena`` with the arguments of this process."""
    arena(prog_name="arena")
