"""From an experiment file to a run on a cluster, and what people are told on the way."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from arena_ray.cli.access import plugin_catalog, settings_in_force, workspace
from arena_ray.cli.output import ABSENT, figure, print_facts
from arena_ray.cli.progress import Progress
from arena_ray.model.errors import ArenaError
from arena_ray.model.paths import Workspace
from arena_ray.model.states import Intent, RunState

if TYPE_CHECKING:
    from arena_ray.model.records import Run
    from arena_ray.orchestrator.api import SubmitReply
    from arena_ray.orchestrator.client import ArenaClient
    from arena_ray.orchestrator.local import ClusterUse, LocalCluster
    from arena_ray.runner.preflight import Submission

EXIT_INTERRUPTED = 130
_GATEWAY_RESTART_S = 20.0
PAUSE_PATIENCE_S = 20.0


def prepare(
    file: Path, assignments: tuple[str, ...], seed: int | None, *, to_stderr: bool, plugin: str | None = None
) -> Submission:
    """Check everything that can be checked without starting anything, and say what will run.

    With *plugin* that one steers, whatever the file names, and the assignments are settings of it; one with another
    scope is at work beside what the file names.
    """
    from arena_ray.cli.overrides import named_too, override, steered_by
    from arena_ray.cli.plan import plan
    from arena_ray.model.spec import parse_spec
    from arena_ray.model.yaml_lines import load_located
    from arena_ray.runner import discovery, preflight
    from arena_ray.runner.installation import interpreter_for

    document = load_located(file)
    if plugin is not None and (key := _list_of(plugin)) is not None:
        document, assignments = named_too(plugin, document, assignments, key=key), ()
    elif plugin is not None:
        document, assignments = steered_by(plugin, document, assignments)
    spec = parse_spec(override(document, assignments, seed=seed))
    runners = discovery.load_runners().runners
    submission = preflight.prepare(spec, base=file.resolve().parent, runners=runners, workspace=workspace())
    if spec.plugin or spec.run_plugins or spec.revision_plugins:
        _check_plugins(submission)
    for warning in submission.warnings:
        click.echo(f"warning: {warning}", err=True)
    script = workspace().bundles / submission.bundle.digest() / submission.bundle.entry
    runner = runners[spec.runner]
    interpreter = interpreter_for(runner, spec.script, workspace=workspace())
    command = preflight.command(submission, runner=runner, script=script, interpreter=interpreter)
    for line in plan(spec.plugin, shlex.join(command)):
        click.echo(line, err=to_stderr)
    return submission


def _check_plugins(submission: Submission) -> None:
    from arena_ray.model.states import Scope
    from arena_ray.orchestrator.plugin_check import check_plugin, check_plugins

    catalog = plugin_catalog()
    check_plugin(submission, catalog)
    for scope in (Scope.RUN, Scope.REVISION):
        check_plugins(submission, catalog, scope)


def _list_of(plugin: str) -> str | None:
    """Return the key of a file that lists plugins of this one's scope; None for one that steers."""
    from arena_ray.model.states import Scope
    from arena_ray.plugin.discovery import KEYS

    scopes = {each.name: each.scope for each in plugin_catalog().describe() if not each.problem}
    scope = scopes.get(plugin)
    return None if scope in (None, Scope.EXPERIMENT) else KEYS[scope]


@contextmanager
def cluster_at_hand(*, keep: bool) -> Iterator[tuple[ArenaClient, bool]]:
    """Give a client of the workspace's cluster, and whether it was started here and is taken down at the end.

    An embedded cluster is started where none is up, and our services where the settings name a Ray cluster.
    """
    from arena_ray.orchestrator import local
    from arena_ray.orchestrator.client import ArenaClient

    started: LocalCluster | None = None
    with local.ClusterUse(workspace()) as use:
        address = local.find(workspace())
        if address is None:
            settings = settings_in_force()
            with Progress() as progress:
                if settings.ray_address:
                    address = local.connect(settings, workspace(), progress.say)
                else:
                    address, started = local.find_or_start(workspace(), settings, keep=keep, on_progress=progress.say)
        is_own = started is not None and not keep
        try:
            has_ended = started.has_ended if started is not None else lambda: False
            with (
                _terminated_like_interrupted(),
                ArenaClient(address, retry_s=_GATEWAY_RESTART_S, has_ended=has_ended) as client,
            ):
                yield client, is_own
        finally:
            if started is not None and is_own:
                _await_others(use)
                _take_down(started)


def _await_others(use: ClusterUse) -> None:
    """Keep the cluster up while other commands are at work on it; Ctrl-C ends that."""
    with suppress(KeyboardInterrupt), _terminated_like_interrupted():
        if use.is_last():
            return
        click.echo("the cluster stays up while another command is at work on it; Ctrl-C takes it down", err=True)
        while not use.is_last():
            time.sleep(0.2)


def _take_down(cluster: LocalCluster) -> None:
    # Once it has begun, an impatient Ctrl-C must not leave half a cluster behind.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Progress() as progress:
            progress.say("taking the cluster down")
            cluster.close()
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


def start(client: ArenaClient, submission: Submission, *, force_new: bool) -> Run:
    """Start a run of *submission*, or go on with the unfinished one, resumed where it was paused."""
    return started_run(client, client.start(submission, force_new=force_new))


def started_run(client: ArenaClient, reply: SubmitReply) -> Run:
    """Say which run was started or goes on, resume it where it was paused, and return it."""
    run = reply.run
    if run is None:
        raise ArenaError("the gateway answered without a run; is it another version of arena_ray?")
    if reply.created:
        click.echo(f"run {run.name}", err=True)
        return run
    click.echo(f"going on with the unfinished run {run.name} (attempt {run.attempt})", err=True)
    if run.state is RunState.PAUSED or run.intent is Intent.PAUSE:
        return client.resume_run(run.run_id).run
    return run


def pause_and_wait(client: ArenaClient, run: Run) -> str:
    """Ask *run* to pause and wait until it has, but not for ever; return how it stands, as a sentence."""
    click.echo(f"pausing {run.name}; Ctrl-C again to end it at once", err=True)
    deadline = time.monotonic() + PAUSE_PATIENCE_S
    try:
        run = client.pause_run(run.run_id).run
        while not (run.state is RunState.PAUSED or run.state.is_final) and time.monotonic() < deadline:
            time.sleep(0.2)
            run = client.run(run.run_id)
    except ArenaError as exc:
        return f"{run.name} could not be paused: {exc}"
    if run.state is RunState.PAUSED or run.state.is_final:
        return f"{run.name} is {run.state.value} at step {run.global_step:,}"
    waited = f"{PAUSE_PATIENCE_S:g} s"
    return f"{run.name} has not reached its next boundary in {waited}; it will go on from its last checkpoint"


def total_steps(submission: Submission) -> int | None:
    """Return how many steps the script will take, where it has a flag that tells."""
    from arena_ray.runner import preflight

    return preflight.total_steps(submission.report, submission.flags)


def print_summary(client: ArenaClient, run: Run) -> None:
    """Print how the run stands and where what it left lies."""
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
            ("TensorBoard", str(Workspace(Path(client.address.home)).run(run.name).tensorboard)),
            ("checkpoint", newest.uri if newest else ABSENT),
            ("policy", newest.policy_digest if newest else ABSENT),
        ]
    )
