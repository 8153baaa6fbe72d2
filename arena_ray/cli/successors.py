"""Commands that go on from a run: its schedule of hyperparameters as one run, its values as a revision."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from arena_ray.cli.access import local_plugins_option, open_reader, require_client, require_run
from arena_ray.cli.output import merged, output_options, print_facts, print_json, print_table

if TYPE_CHECKING:
    from arena_ray.model.schedule import Schedule


@click.command("replay-schedule")
@click.argument("run")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Use this seed instead of the experiment's.")
@click.option("--dry-run", is_flag=True, help="Print the schedule, and start nothing.")
@click.option("--detach", is_flag=True, help="Return as soon as the run is accepted; its cluster stays up.")
@click.option("--keep", is_flag=True, help="Leave the cluster up that this command started.")
@click.option("--new", "force_new", is_flag=True, help="Start another run even if an unfinished one could go on.")
@local_plugins_option
@output_options
def replay_schedule(
    run: str, seed: int | None, dry_run: bool, detach: bool, keep: bool, force_new: bool, as_json: bool
) -> None:
    """Train one run with the schedule of hyperparameters that led to a run of a population.

    It begins with the hyperparameters of the first of the run's ancestors, and changes them while it trains, at the
    steps where they changed on the way to RUN. Nothing else is taken over: it trains weights of its own. All else is
    as with 'arena run'.
    """
    schedule, name = _schedule_of(run)
    if dry_run:
        _print_schedule(schedule, name, as_json=as_json)
        return
    from arena_ray.cli.run import Watching, tune
    from arena_ray.cli.training import cluster_at_hand

    with cluster_at_hand(keep=keep or detach) as (client, is_own_cluster):
        reply = client.replay_schedule(run, seed=seed, force_new=force_new)
        words = ["arena", "replay-schedule", run, *([] if seed is None else ["--seed", str(seed)])]
        watching = Watching(total=None, again=shlex.join(words), is_own_cluster=is_own_cluster, keeps=keep)
        is_well = tune(client, reply, None if detach else watching, as_json=as_json)
    click.get_current_context().exit(0 if is_well or detach else 1)


def _schedule_of(key: str) -> tuple[Schedule, str]:
    """Return the schedule that led to the run, and the run's name."""
    from arena_ray.model.ancestry import require_execution, schedule_of

    with open_reader() as reader:
        run = require_run(reader, key)
        return schedule_of(reader.lineage(run.experiment, require_execution(run)), run), run.name


def _print_schedule(schedule: Schedule, name: str, *, as_json: bool) -> None:
    from arena_ray.cli.ranking import setting

    if as_json:
        print_json({"run": name, "schedule": schedule.to_data()})
        return
    rows = []
    for count, change in enumerate(schedule.changes):
        values = {key: setting(value) for key, value in schedule.after(count).items()}
        rows.append({"from step": f"{change.step:,}", **values})
    print_table(rows, empty="nothing was tuned")


@click.command()
@click.argument("run")
@click.option("--name", metavar="NAME", help="What the revision is called; else promoted-RUN.")
@output_options
def promote(run: str, name: str | None, as_json: bool) -> None:
    """Make a revision of a run's hyperparameters, as they are now.

    It is the experiment's newest: the next 'arena plugins run NAME --experiment EXPERIMENT' begins with it. Its notes
    say from which run it comes, from which step, and what that run had reached.
    """
    with require_client() as client:
        revision = client.promote(run, name=name)
        experiment = client.experiment(revision.experiment_id).name
    if as_json:
        print_json(merged(revision, experiment=experiment))
        return
    values = ", ".join(f"{key} {value}" for key, value in revision.hyperparameters.items())
    print_facts(
        [
            ("revision", f"{revision.number} of {experiment}"),
            ("name", revision.name or ""),
            ("hyperparameters", values),
            ("notes", revision.notes or ""),
        ]
    )
