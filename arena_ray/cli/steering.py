"""Commands that stop, pause and resume runs through the gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from arena_ray.cli.access import require_client, require_run
from arena_ray.cli.output import merged, output_options, print_json, report_error
from arena_ray.model.errors import ArenaError
from arena_ray.model.states import ACTIVE_STATES, Intent, RunState

if TYPE_CHECKING:
    from arena_ray.model.records import Run
    from arena_ray.orchestrator.api import MoveReply
    from arena_ray.orchestrator.client import ArenaClient

RUNS = click.argument("names", metavar="RUN...", nargs=-1, required=True)


@click.command()
@RUNS
@click.option("--now", is_flag=True, help="End the process at once; what came after the last checkpoint is lost.")
@output_options
def stop(names: tuple[str, ...], now: bool, as_json: bool) -> None:
    """Stop runs for good, each at its next boundary.

    RUN is a run's id, name or unique prefix, or an experiment's name for all its runs that have not ended.
    """
    with require_client() as client:
        _move_all(client, names, lambda run: client.stop_run(run, now=now), concerns=_has_not_ended, as_json=as_json)


@click.command()
@RUNS
@output_options
def pause(names: tuple[str, ...], as_json: bool) -> None:
    """Pause runs, each with a snapshot at its next boundary.

    A paused run gives its resources back.

    RUN is a run's id, name or unique prefix, or an experiment's name for all its runs that are at work.
    """
    with require_client() as client:
        _move_all(client, names, client.pause_run, concerns=_is_at_work, as_json=as_json)


@click.command()
@RUNS
@output_options
def resume(names: tuple[str, ...], as_json: bool) -> None:
    """Let paused runs go on from their snapshots.

    RUN is a run's id, name or unique prefix, or an experiment's name for all its runs that are paused.
    """
    with require_client() as client:
        _move_all(client, names, client.resume_run, concerns=_is_paused, as_json=as_json)


def _has_not_ended(run: Run) -> bool:
    return not run.state.is_final


def _is_at_work(run: Run) -> bool:
    return run.state in ACTIVE_STATES


def _is_paused(run: Run) -> bool:
    return run.state is RunState.PAUSED or run.intent is Intent.PAUSE


def _move_all(
    client: ArenaClient,
    names: tuple[str, ...],
    move: Callable[[str], MoveReply],
    *,
    concerns: Callable[[Run], bool],
    as_json: bool,
) -> None:
    """Apply *move* to each run; one that refuses does not keep the others from moving."""
    replies, has_failed = [], False
    for run in _targets(client, names, concerns):
        try:
            replies.append(move(run.run_id))
        except ArenaError as exc:
            report_error(exc)
            has_failed = True
    if as_json:
        print_json([merged(reply.run, lost=reply.lost) for reply in replies])
    else:
        for reply in replies:
            click.echo(_sentence(reply))
    if has_failed:
        click.get_current_context().exit(1)


def _targets(client: ArenaClient, names: tuple[str, ...], concerns: Callable[[Run], bool]) -> list[Run]:
    """Return the runs that *names* mean, each once. All names are looked up before anything moves."""
    experiments = {each.name for each in client.experiments()}
    found: dict[str, Run] = {}
    for name in names:
        if name in experiments:
            runs = [run for run in client.runs(experiment=name) if concerns(run)]
            if not runs:
                raise ArenaError(f"no run of experiment {name} is concerned; see 'arena runs --experiment {name}'")
        else:
            runs = [require_run(client, name)]
        found.update({run.run_id: run for run in runs})
    return list(found.values())


def _sentence(reply: MoveReply) -> str:
    asked = {"stop": "stopping", "stop_now": "stopping now", "pause": "pausing"}.get(reply.run.intent.value)
    stands = f"{asked} at its next boundary" if asked in ("stopping", "pausing") else asked or reply.run.state.value
    return f"{reply.run.name}: {stands}" + (f"; lost: {reply.lost}" if reply.lost else "")
