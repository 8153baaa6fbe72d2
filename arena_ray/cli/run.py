"""``arena run``: from an experiment file to the summary of its run."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from arena_ray.cli.access import settings_in_force, workspace
from arena_ray.cli.output import ABSENT, figure, merged, output_options, print_facts, print_json
from arena_ray.cli.progress import Progress
from arena_ray.model.errors import ArenaError
from arena_ray.model.states import Intent, RunState

if TYPE_CHECKING:
    from arena_ray.model.records import Run
    from arena_ray.orchestrator.api import GatewayAddress
    from arena_ray.orchestrator.client import ArenaClient
    from arena_ray.runner.preflight import Submission

_GATEWAY_RESTART_S = 20.0
_PAUSE_PATIENCE_S = 20.0
_TOTALS = ("total_timesteps", "max_timesteps")
EXIT_INTERRUPTED = 130


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
@output_options
def run(
    file: Path, assignments: tuple[str, ...], seed: int | None, detach: bool, keep: bool, force_new: bool, as_json: bool
) -> None:
    """Train the script of an experiment file and wait for its end.

    An unfinished run of the same configuration and seed goes on where it stands, unless --new is given. Without a
    cluster one is started, and taken down at the end. Ctrl-C pauses the run on such a cluster; on one that was up
    before it only stops watching. The exit code is 0 only if the run has completed.
    """
    submission = _prepare(file, assignments, seed, to_stderr=as_json)
    with _terminated_like_interrupted(), ExitStack() as stack:
        address, close = _find_or_start(keep=keep or detach)
        if close is not None:
            stack.callback(_take_down, close)
        from arena_ray.orchestrator.client import ArenaClient

        client = stack.enter_context(ArenaClient(address, retry_s=_GATEWAY_RESTART_S))
        started = _start(client, submission, force_new=force_new)
        if not detach:
            again = _command_again(file, assignments, seed)
            started = _watch_through(client, started, again=again, is_own_cluster=close is not None)
        _report(client, started, is_detached=detach, as_json=as_json)
    is_well = detach or started.state is RunState.COMPLETED
    click.get_current_context().exit(0 if is_well else 1)


def _prepare(file: Path, assignments: tuple[str, ...], seed: int | None, *, to_stderr: bool) -> Submission:
    """Check everything that can be checked without starting anything, and say what will run."""
    from arena_ray.cli.overrides import override
    from arena_ray.model.spec import parse_spec
    from arena_ray.model.yaml_lines import load_located
    from arena_ray.runner import discovery, preflight

    spec = parse_spec(override(load_located(file), assignments, seed=seed))
    runners = discovery.load_runners().runners
    submission = preflight.prepare(spec, base=file.resolve().parent, runners=runners)
    for warning in submission.warnings:
        click.echo(f"warning: {warning}", err=True)
    script = workspace().bundles / submission.bundle.digest() / submission.bundle.entry
    command = preflight.command(submission, runner=runners[spec.runner], script=script)
    click.echo(f"will run: {shlex.join(command)}", err=to_stderr)
    return submission


def _find_or_start(*, keep: bool) -> tuple[GatewayAddress, Callable[[], None] | None]:
    """Return the gateway, and what takes its cluster down where that is for this command to do."""
    from arena_ray.orchestrator import local

    address = local.find(workspace())
    if address is not None:
        return address, None
    settings = settings_in_force()
    with Progress() as progress:
        if settings.ray_address:
            return local.connect(settings, workspace(), progress.say), None
        started = local.start(workspace(), settings, keep=keep, on_progress=progress.say)
    return started.address, None if keep else started.close


def _take_down(close: Callable[[], None]) -> None:
    # Once it has begun, an impatient Ctrl-C must not leave half a cluster behind.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Progress() as progress:
            progress.say("taking the cluster down")
            close()
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Treat SIGTERM, as batch systems and containers send it, like Ctrl-C: the run is paused, the cluster ends."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start(client: ArenaClient, submission: Submission, *, force_new: bool) -> Run:
    reply = client.start_run(submission, force_new=force_new)
    if reply.created:
        click.echo(f"run {reply.run.name}", err=True)
        return reply.run
    click.echo(f"going on with the unfinished run {reply.run.name} (attempt {reply.run.attempt})", err=True)
    if reply.run.state is RunState.PAUSED or reply.run.intent is Intent.PAUSE:
        return client.resume_run(reply.run.run_id).run
    return reply.run


def _watch_through(client: ArenaClient, run: Run, *, again: str, is_own_cluster: bool) -> Run:
    """Watch *run* to its end; on Ctrl-C leave it as one would wish to find it, say how to go on, and exit."""
    from arena_ray.cli.live import view_for, watch

    flags = client.revision(run.revision_id).flags
    total = next((int(flags[key]) for key in _TOTALS if isinstance(flags.get(key), int | float)), None)  # type: ignore[arg-type]
    try:
        return watch(client, run, total_steps=total, view=view_for(sys.stderr))
    except KeyboardInterrupt:
        if is_own_cluster:
            click.echo(pause_and_wait(client, run), err=True)
            click.echo(f"to go on: {again}", err=True)
        else:
            click.echo(f"{run.name} goes on without being watched; see 'arena logs {run.name} -f'", err=True)
        click.get_current_context().exit(EXIT_INTERRUPTED)


def pause_and_wait(client: ArenaClient, run: Run) -> str:
    """Ask *run* to pause and wait until it has, but not for ever; return how it stands, as a sentence."""
    click.echo(f"pausing {run.name}; Ctrl-C again to end it at once", err=True)
    deadline = time.monotonic() + _PAUSE_PATIENCE_S
    try:
        run = client.pause_run(run.run_id).run
        while not (run.state is RunState.PAUSED or run.state.is_final) and time.monotonic() < deadline:
            time.sleep(0.2)
            run = client.run(run.run_id)
    except ArenaError as exc:
        return f"{run.name} could not be paused: {exc}"
    if run.state is RunState.PAUSED or run.state.is_final:
        return f"{run.name} is {run.state.value} at step {run.global_step:,}"
    waited = f"{_PAUSE_PATIENCE_S:g} s"
    return f"{run.name} has not reached its next boundary in {waited}; it will go on from its last checkpoint"


def _command_again(file: Path, assignments: tuple[str, ...], seed: int | None) -> str:
    words = ["arena", "run", str(file)]
    for assignment in assignments:
        words += ["--set", assignment]
    return shlex.join(words + (["--seed", str(seed)] if seed is not None else []))


def _report(client: ArenaClient, run: Run, *, is_detached: bool, as_json: bool) -> None:
    if as_json:
        experiment = client.experiment(run.experiment)
        print_json(merged(experiment, run_id=run.run_id, runs=client.runs(experiment=run.experiment)))
    elif is_detached:
        click.echo(f"{run.name} is {run.state.value}; follow it with 'arena logs {run.name} -f'")
    else:
        _print_summary(client, run)


def _print_summary(client: ArenaClient, run: Run) -> None:
    checkpoints = client.checkpoints(run.run_id)
    newest = checkpoints[0] if checkpoints else None
    print_facts(
        [
            ("run", run.name),
            ("state", run.state.value),
            ("reason", run.reason or ABSENT),
            ("steps", f"{run.global_step:,}"),
            ("mean return", figure(run.episodic_return)),
            ("attempts", str(run.attempt)),
            ("TensorBoard", str(workspace().run(run.name).tensorboard)),
            ("checkpoint", newest.uri if newest else ABSENT),
            ("policy", newest.policy_digest if newest else ABSENT),
        ]
    )
