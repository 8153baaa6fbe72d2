"""``arena prove``: train a script twice, kill one training half-way, and show that both end with the same weights."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from arena_ray.cli.output import output_options, print_facts, print_json
from arena_ray.cli.training import (
    EXIT_INTERRUPTED,
    cluster_at_hand,
    pause_and_wait,
    prepare,
    print_summary,
    start,
    total_steps,
)
from arena_ray.model.errors import ArenaError, SpecError
from arena_ray.model.paths import Workspace
from arena_ray.model.states import AttemptOutcome

if TYPE_CHECKING:
    from arena_ray.model.records import Run
    from arena_ray.orchestrator.client import ArenaClient
    from arena_ray.runner.preflight import Submission

REFERENCE_SUFFIX = "-uninterrupted"


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--keep", is_flag=True, help="Leave the cluster up.")
@output_options
def prove(file: Path, keep: bool, as_json: bool) -> None:
    """Show that a training which is killed half-way ends exactly like one that is not.

    Trains the experiment FILE, kills its training process when half of the steps are done, and lets it be resumed;
    beside it the same script trains undisturbed. At the end the weights of both are compared. The exit code is 0
    only if they are equal, bit for bit. Interrupted with Ctrl-C, it goes on from there the next time.
    """
    names = [f"experiment={_experiment_of(file)}{suffix}" for suffix in ("", REFERENCE_SUFFIX)]
    submissions = [prepare(file, (name,), None, to_stderr=as_json) for name in names]
    total = total_steps(submissions[0])
    with cluster_at_hand(keep=keep) as (client, is_own_cluster):
        killed, reference = [start(client, submission, force_new=False) for submission in submissions]
        try:
            killed = _watch_killed(client, killed, total=total)
            reference = _watch_reference(client, reference, submissions[1], total=total)
        except KeyboardInterrupt:
            _leave(client, [killed.experiment, reference.experiment], is_own_cluster=is_own_cluster)
            click.get_current_context().exit(EXIT_INTERRUPTED)
        is_equal = _report(client, killed, reference, as_json=as_json)
    click.get_current_context().exit(0 if is_equal else 1)


def _experiment_of(file: Path) -> str:
    from arena_ray.model.spec import load_spec

    spec = load_spec(file)
    if spec.plugin is not None:
        raise SpecError(f"{file} names the plugin {spec.plugin.name!r}; only a training without one can be proved")
    return spec.experiment


def _watch_killed(client: ArenaClient, run: Run, *, total: int | None) -> Run:
    """Watch *run* to its end and kill its training half-way, unless something has killed it already."""
    from arena_ray.cli.live import view_for, watch

    def is_half_done(run: Run) -> bool:
        return 2 * run.global_step >= (total or 0) > 0

    run = watch(client, run, total_steps=total, view=view_for(sys.stderr), until=is_half_done)
    has_been_killed = any(attempt.outcome is AttemptOutcome.LOST for attempt in client.attempts(run.run_id))
    if not has_been_killed and not run.state.is_final:
        pid = _kill_training(run, home=Path(client.address.home))
        click.echo(f"killed the training process {pid} at step {run.global_step:,} with SIGKILL", err=True)
    return watch(client, run, total_steps=total, view=view_for(sys.stderr))


def _watch_reference(client: ArenaClient, run: Run, submission: Submission, *, total: int | None) -> Run:
    """Watch *run* to its end; where it was interrupted by Ctrl-C before, train another one without a break."""
    from arena_ray.cli.live import view_for, watch

    if not client.run(run.run_id).state.is_final:
        click.echo("waiting for the uninterrupted training", err=True)
    run = watch(client, run, total_steps=total, view=view_for(sys.stderr))
    if run.attempt > 1:
        click.echo("that one was interrupted too: training another one without a break", err=True)
        run = start(client, submission, force_new=True)
        run = watch(client, run, total_steps=total, view=view_for(sys.stderr))
    return run


def _kill_training(run: Run, *, home: Path) -> int:
    """Kill the training process of *run* and return its pid."""
    import psutil

    directory = Workspace(home).run(run.name).attempt(run.attempt)
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            is_training = "--attempt" in process.cmdline() and os.getpgid(process.pid) == process.pid
            if is_training and os.getsid(process.pid) != process.pid and Path(process.cwd()) == directory:
                process.send_signal(signal.SIGKILL)
                return int(process.pid)
    raise ArenaError(
        f"the training process of {run.name} is not on this machine, so it cannot be killed to prove anything"
    )


def _leave(client: ArenaClient, experiments: list[str], *, is_own_cluster: bool) -> None:
    if not is_own_cluster:
        click.echo("the runs go on without being watched; see 'arena runs'", err=True)
        return
    for run in (run for experiment in experiments for run in client.runs(experiment=experiment)):
        if not run.state.is_final:
            click.echo(pause_and_wait(client, run), err=True)
    click.echo("to go on: the same command again", err=True)


def _report(client: ArenaClient, killed: Run, reference: Run, *, as_json: bool) -> bool:
    digests = [_final_digest(client, run) for run in (killed, reference)]
    is_equal = digests[0] is not None and digests[0] == digests[1] and reference.attempt == 1
    if as_json:
        print_json({"is_equal": is_equal, "policy_digests": digests, "runs": [killed, reference]})
        return is_equal
    print_summary(client, killed)
    print_facts([("uninterrupted", f"{digests[1]} ({reference.name})")])
    if is_equal:
        click.secho("final weights equal to an uninterrupted run of the same seed: yes, bit for bit", fg="green")
    else:
        click.secho("final weights equal to an uninterrupted run of the same seed: NO", fg="red")
    return is_equal


def _final_digest(client: ArenaClient, run: Run) -> str | None:
    final = [checkpoint for checkpoint in client.checkpoints(run.run_id) if checkpoint.is_final]
    return final[0].policy_digest if final else None
