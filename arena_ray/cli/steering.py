"""Commands that stop, pause and resume runs and experiments through the gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from arena_ray.cli.access import require_client, require_run
from arena_ray.cli.output import merged, output_options, print_json, report_error
from arena_ray.model.errors import ArenaError
from arena_ray.model.states import ACTIVE_STATES, Intent, RunState

if TYPE_CHECKING:
    from arena_ray.model.records import Run
    from arena_ray.orchestrator.api import ExperimentReply, MoveReply
    from arena_ray.orchestrator.client import ArenaClient

RUNS = click.argument("names", metavar="RUN...", nargs=-1, required=True)


@click.command()
@RUNS
@click.option("--now", is_flag=True, help="End the process at once; what came after the last checkpoint is lost.")
@output_options
def stop(names: tuple[str, ...], now: bool, as_json: bool) -> None:
    """Stop runs for good, each at its next boundary.

    RUN is a run's id, name or unique prefix, or an experiment's name for all its runs that have not ended and the
    plugin that steers them.
    """
    with require_client() as client:
        move = Move(partial(client.stop_run, now=now), partial(client.stop_experiment, now=now), _has_not_ended)
        _move_all(client, names, move, as_json=as_json)


@click.command()
@RUNS
@output_options
def pause(names: tuple[str, ...], as_json: bool) -> None:
    """Pause runs, each with a snapshot at its next boundary.

    A paused run gives its resources back.

    RUN is a run's id, name or unique prefix, or an experiment's name for all its runs that are at work and the plugin
    that steers them.
    """
    with require_client() as client:
        _move_all(client, names, Move(client.pause_run, client.pause_experiment, _is_at_work), as_json=as_json)


@click.command()
@RUNS
@output_options
def resume(names: tuple[str, ...], as_json: bool) -> None:
    """Let paused runs go on from their snapshots.

    RUN is a run's id, name or unique prefix, or an experiment's name for all its runs that are paused and the plugin
    that steers them.
    """
    with require_client() as client:
        _move_all(client, names, Move(client.resume_run, client.resume_experiment, _is_paused), as_json=as_json)


@dataclass(frozen=True)
class Move:
    """A move as it is asked of one run, and of an experiment as a whole."""

    of_run: Callable[[str], MoveReply]
    of_experiment: Callable[[str], ExperimentReply]
    concerns: Callable[[Run], bool]
    """Which of its runs an experiment stands for where no plugin is at work on it."""


@dataclass(frozen=True)
class Moved:
    """What there is to say of a move that was accepted, for people and for programs."""

    sentences: list[str]
    documents: list[dict[str, Any]]


def _has_not_ended(run: Run) -> bool:
    return not run.state.is_final


def _is_at_work(run: Run) -> bool:
    return run.state in ACTIVE_STATES


def _is_paused(run: Run) -> bool:
    return run.state is RunState.PAUSED or run.intent is Intent.PAUSE


def _move_all(client: ArenaClient, names: tuple[str, ...], move: Move, *, as_json: bool) -> None:
    """Carry out *move* on all that *names* mean; what refuses does not keep the rest from moving."""
    experiments, runs = _targets(client, names, move)
    asks = [partial(_move_experiment, move, name) for name in experiments]
    asks += [partial(_move_run, move, run.run_id) for run in runs]
    done: list[Moved] = []
    for ask in asks:
        try:
            done.append(ask())
        except ArenaError as exc:
            report_error(exc)
    if as_json:
        print_json([document for moved in done for document in moved.documents])
    else:
        for sentence in (sentence for moved in done for sentence in moved.sentences):
            click.echo(sentence)
    if len(done) < len(asks):
        click.get_current_context().exit(1)


def _targets(client: ArenaClient, names: tuple[str, ...], move: Move) -> tuple[list[str], list[Run]]:
    """Return the experiments and the runs that *names* mean, each once. All is looked up before anything moves.

    An experiment moves as a whole while its plugin is at work; else it stands for those of its runs that are concerned.
    """
    known = {each.name for each in client.experiments()}
    experiments: list[str] = []
    found: dict[str, Run] = {}
    for name in names:
        if name not in known:
            runs = [require_run(client, name)]
        elif any(not each.state.is_final for each in client.executions(name)):
            experiments.append(name)
            continue
        else:
            runs = [run for run in client.runs(experiment=name) if move.concerns(run)]
            if not runs:
                raise ArenaError(
                    f"this changes nothing in any run of experiment {name}; see 'arena runs --experiment {name}'"
                )
        found.update({run.run_id: run for run in runs})
    return list(dict.fromkeys(experiments)), [run for run in found.values() if run.experiment not in experiments]


def _move_run(move: Move, run_id: str) -> Moved:
    reply = move.of_run(run_id)
    sentence = _standing(reply.run) + (f"; lost: {reply.lost}" if reply.lost else "")
    return Moved([sentence], [merged(reply.run, lost=reply.lost)])


def _move_experiment(move: Move, name: str) -> Moved:
    reply = move.of_experiment(name)
    plugin = reply.execution
    head = [f"{plugin.plugin} on {plugin.experiment}: {plugin.state.value}"] if plugin else []
    return Moved(head + [_standing(run) for run in reply.runs], [merged(run, lost=None) for run in reply.runs])


def _standing(run: Run) -> str:
    asked = {"stop": "stopping", "stop_now": "stopping now", "pause": "pausing"}.get(run.intent.value)
    stands = f"{asked} at its next boundary" if asked in ("stopping", "pausing") else asked or run.state.value
    return f"{run.name}: {stands}"
