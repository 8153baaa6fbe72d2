"""``arena run`` of a file that names a plugin: start its execution, watch its runs, and tell what came of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arena_ray.cli.ancestry import ancestry_lines
from arena_ray.cli.comparison import print_configurations
from arena_ray.cli.output import ABSENT, merged, print_facts, print_json, print_table
from arena_ray.cli.population import view_for, watch
from arena_ray.cli.ranking import Ranking, label
from arena_ray.cli.training import EXIT_INTERRUPTED, PAUSE_PATIENCE_S
from arena_ray.model.errors import ArenaError
from arena_ray.model.paths import Workspace
from arena_ray.model.states import AT_WORK, ExecutionState, RunState

if TYPE_CHECKING:
    from arena_ray.model.records import Execution, Lineage
    from arena_ray.orchestrator.api import SubmitReply
    from arena_ray.orchestrator.client import ArenaClient

WELL_ENDED = frozenset({RunState.COMPLETED, RunState.STOPPED})


def started_execution(client: ArenaClient, reply: SubmitReply) -> Execution:
    """Say which plugin execution was started or goes on, resume it where it was paused, and return it."""
    execution = reply.execution
    if execution is None:
        raise ArenaError("the gateway answered without a plugin execution; is it another version of arena_ray?")
    if reply.created:
        click.echo(f"{execution.plugin} on experiment {execution.experiment}", err=True)
        return execution
    click.echo(f"going on with the unfinished {execution.plugin} of experiment {execution.experiment}", err=True)
    if execution.state is ExecutionState.PAUSED:
        client.resume_experiment(execution.experiment)
    return execution


def watch_through(
    client: ArenaClient, execution: Execution, *, total: int | None, again: str, is_own_cluster: bool
) -> Lineage:
    """Watch *execution* to its end; on Ctrl-C leave it as one would wish to find it, say how to go on, and exit."""
    name = execution.experiment
    try:
        view = view_for(sys.stderr)
        return watch(client, name, execution_id=execution.execution_id, total_steps=total, view=view)
    except KeyboardInterrupt:
        if is_own_cluster:
            click.echo(pause_and_wait(client, name), err=True)
            click.echo(f"to go on: {again}", err=True)
        else:
            click.echo(f"{name} goes on without being watched; see 'arena lineage {name}'", err=True)
        click.get_current_context().exit(EXIT_INTERRUPTED)


def pause_and_wait(client: ArenaClient, experiment: str) -> str:
    """Pause all of *experiment* and wait until no run is at work, but not for ever; return how it stands."""
    click.echo(f"pausing experiment {experiment}; Ctrl-C again to end it at once", err=True)
    deadline = time.monotonic() + PAUSE_PATIENCE_S
    try:
        runs = client.pause_experiment(experiment).runs
        while any(run.state in AT_WORK for run in runs) and time.monotonic() < deadline:
            time.sleep(0.2)
            runs = client.runs(experiment=experiment)
    except ArenaError as exc:
        return f"experiment {experiment} could not be paused: {exc}"
    late = [run.name for run in runs if run.state in AT_WORK]
    if late:
        waited = f"{PAUSE_PATIENCE_S:g} s"
        return f"{', '.join(late)}: no boundary within {waited}; what is not paused goes on from its last checkpoint"
    furthest = max((run.global_step for run in runs), default=0)
    return f"experiment {experiment} is paused with its {len(runs)} runs, the furthest at step {furthest:,}"


def is_well(lineage: Lineage) -> bool:
    """Whether the plugin has come to its end, and no run has failed; a scheduler may have stopped some of them."""
    has_completed = lineage.execution is not None and lineage.execution.state is ExecutionState.COMPLETED
    return has_completed and all(run.state in WELL_ENDED for run in lineage.runs)


def has_winner(lineage: Lineage) -> bool:
    """Whether the plugin has completed and one of its runs is the best, which a file may have asked to deploy."""
    execution = lineage.execution
    has_completed = execution is not None and execution.state is ExecutionState.COMPLETED
    return has_completed and Ranking(lineage).winner is not None


def print_document(client: ArenaClient, lineage: Lineage, **more: Any) -> None:
    """Print the experiment with what its plugin did, and *more* keys, as JSON."""
    experiment = client.experiment(lineage.experiment)
    keys = {"execution": lineage.execution, "runs": lineage.runs, "exploits": lineage.exploits, **more}
    if lineage.execution is not None:
        ranking = client.ranking(lineage.experiment, execution=lineage.execution.execution_id)
        keys["configurations"] = ranking.configurations
    print_json(merged(experiment, **keys))


def print_outcome(client: ArenaClient, lineage: Lineage) -> None:
    """Print the leaderboard, where the winner's weights come from, and where they lie."""
    ranking = Ranking(lineage)
    execution, winner = ranking.execution, ranking.winner
    if lineage.runs:
        print_table(ranking.rows(), empty="no run was started")
        click.echo()
    configurations = client.ranking(execution.experiment, execution=execution.execution_id)
    if not lineage.milestones and any(len(each.seeds) > 1 for each in configurations.configurations):
        print_configurations(configurations)
        click.echo()
    if winner is None and lineage.runs:
        click.echo(f"no run has completed with a {ranking.metric_name}, so none is the best")
    if winner is not None:
        click.echo(f"lineage of the best run, {label(winner)}:")
        for line in ancestry_lines(ranking, winner):
            click.echo(line)
        click.echo()
    standing = execution.state.value + (f": {execution.reason}" if execution.reason else "")
    print_facts([(execution.plugin, standing), *_places(client, ranking)])


def _places(client: ArenaClient, ranking: Ranking) -> Iterator[tuple[str, str]]:
    home, winner = Workspace(Path(client.address.home)), ranking.winner
    if winner is not None:
        yield "best run", winner.name
    if ranking.lineage.runs:
        yield "TensorBoard", str(home.training / "runs")
    if winner is not None:
        newest = next(iter(client.checkpoints(winner.run_id)), None)
        yield "checkpoint", newest.uri if newest else ABSENT
    yield "printed", str(home.executions / f"{ranking.execution.execution_id}.log")
