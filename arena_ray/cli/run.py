"""``arena run``: from an experiment file to the summary of its run, or of the runs that its plugin starts."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arena_ray.cli.access import local_plugins_option
from arena_ray.cli.history import print_notes
from arena_ray.cli.output import merged, output_options, print_json
from arena_ray.cli.training import (
    EXIT_INTERRUPTED,
    cluster_at_hand,
    pause_and_wait,
    prepare,
    print_summary,
    started_run,
    total_steps,
)
from arena_ray.model.states import RunState

if TYPE_CHECKING:
    from arena_ray.model.records import Run
    from arena_ray.model.spec import Deployment
    from arena_ray.orchestrator.api import SubmitReply
    from arena_ray.orchestrator.client import ArenaClient


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of FILE, e.g. flags.total_timesteps=1000.",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Use this seed instead of the one in FILE.")
@click.option("--detach", is_flag=True, help="Return as soon as the run is accepted; its cluster stays up.")
@click.option("--keep", is_flag=True, help="Leave the cluster up that this command started.")
@click.option("--new", "force_new", is_flag=True, help="Start another run even if an unfinished one could go on.")
@local_plugins_option
@output_options
def run(
    file: Path, assignments: tuple[str, ...], seed: int | None, detach: bool, keep: bool, force_new: bool, as_json: bool
) -> None:
    """Train the script of an experiment file and wait for its end.

    Where the file names a plugin, that one starts the runs and steers them. What is unfinished of the same
    configuration and seed goes on where it stands, unless --new is given. Where the file has the key deploy, the
    policy is put behind its endpoint then, asked, and played with. Without a cluster one is started, and taken
    down at the end. Ctrl-C pauses the runs on such a cluster; on one that was up before it only stops watching. The
    exit code is 0 only if all has completed.
    """
    submission = prepare(file, assignments, seed, to_stderr=as_json)
    again, total = _command_again(file, assignments, seed), total_steps(submission)
    finish = partial(_train, deploy=submission.spec.deploy) if submission.spec.plugin is None else tune
    with cluster_at_hand(keep=keep or detach) as (client, is_own_cluster):
        reply = client.start(submission, force_new=force_new)
        watching = None if detach else Watching(total=total, again=again, is_own_cluster=is_own_cluster, keeps=keep)
        is_well = finish(client, reply, watching, as_json=as_json)
    click.get_current_context().exit(0 if is_well or detach else 1)


@dataclass(frozen=True)
class Watching:
    """What the watcher has to know: how many steps there will be, and what to do when it is interrupted."""

    total: int | None
    again: str
    is_own_cluster: bool
    keeps: bool


def _train(
    client: ArenaClient,
    reply: SubmitReply,
    watching: Watching | None,
    *,
    as_json: bool,
    deploy: Deployment | None,
) -> bool:
    run = started_run(client, reply)
    if watching:
        run = _watch_through(client, run, watching)
    has_completed = run.state is RunState.COMPLETED
    if watching is None or deploy is None or not has_completed:
        _report(client, run, is_detached=watching is None, as_json=as_json)
        return has_completed
    if not as_json:
        print_summary(client, run)
    return _finish_deployment(
        client, deploy, [run], watching, as_json=as_json, report=partial(_print_runs, client, run)
    )


def _finish_deployment(
    client: ArenaClient,
    deploy: Deployment,
    runs: list[Run],
    watching: Watching,
    *,
    as_json: bool,
    report: Callable[..., None],
) -> bool:
    """Wait for the policy, tell what it is worth, and return whether it answers; *report* prints the JSON document."""
    from arena_ray.cli.deployment import await_deployment

    deployed = await_deployment(client, deploy, {run.run_id for run in runs})
    if as_json:
        report(policy=deployed.document())
    else:
        deployed.print(stays_up=watching.keeps or not watching.is_own_cluster)
    return deployed.is_well


def tune(client: ArenaClient, reply: SubmitReply, watching: Watching | None, *, as_json: bool) -> bool:
    """Watch a plugin at work to its end and print what came of it; return whether it ended well."""
    from arena_ray.cli import study

    execution = study.started_execution(client, reply)
    if watching:
        lineage = study.watch_through(
            client,
            execution,
            total=watching.total,
            again=watching.again,
            is_own_cluster=watching.is_own_cluster,
        )
    else:
        lineage = client.lineage(execution.experiment, execution.execution_id)
    deploy = execution.spec.deploy
    is_deployed = watching is not None and deploy is not None and study.has_winner(lineage)
    if as_json and not is_deployed:
        study.print_document(client, lineage)
    elif watching and not as_json:
        study.print_outcome(client, lineage)
        notes = [each for each in client.notes(execution.experiment) if each.execution_id == execution.execution_id]
        print_notes(notes, {run.run_id: run.name for run in lineage.runs})
    elif not as_json:
        click.echo(
            f"{execution.plugin} is at work on {execution.experiment}; see 'arena lineage {execution.experiment}'"
        )
    if watching is None or deploy is None or not is_deployed:
        return study.is_well(lineage)
    report = partial(study.print_document, client, lineage)
    answers = _finish_deployment(client, deploy, lineage.runs, watching, as_json=as_json, report=report)
    return answers and study.is_well(lineage)


def _watch_through(client: ArenaClient, run: Run, watching: Watching) -> Run:
    """Watch *run* to its end; on Ctrl-C leave it as one would wish to find it, say how to go on, and exit."""
    from arena_ray.cli.live import view_for, watch

    try:
        return watch(client, run, total_steps=watching.total, view=view_for(sys.stderr))
    except KeyboardInterrupt:
        if watching.is_own_cluster:
            click.echo(pause_and_wait(client, run), err=True)
            click.echo(f"to go on: {watching.again}", err=True)
        else:
            click.echo(f"{run.name} goes on without being watched; see 'arena logs {run.name} -f'", err=True)
        click.get_current_context().exit(EXIT_INTERRUPTED)


def _command_again(file: Path, assignments: tuple[str, ...], seed: int | None) -> str:
    words = ["arena", "run", str(file)]
    for assignment in assignments:
        words += ["--set", assignment]
    return shlex.join(words + (["--seed", str(seed)] if seed is not None else []))


def _print_runs(client: ArenaClient, run: Run, **more: Any) -> None:
    experiment = client.experiment(run.experiment)
    print_json(merged(experiment, run_id=run.run_id, runs=client.runs(experiment=run.experiment), **more))


def _report(client: ArenaClient, run: Run, *, is_detached: bool, as_json: bool) -> None:
    if as_json:
        _print_runs(client, run)
    elif is_detached:
        click.echo(f"{run.name} is {run.state.value}; follow it with 'arena logs {run.name} -f'")
    else:
        print_summary(client, run)
