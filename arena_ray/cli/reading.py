"""Commands that look things up. They ask the gateway, or the registry where none is up, and start nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from arena_ray.cli.access import open_reader, require_run, workspace
from arena_ray.cli.output import (
    ABSENT,
    figure,
    merged,
    moment,
    output_options,
    print_facts,
    print_json,
    print_table,
    run_row,
)
from arena_ray.model.errors import NotFound
from arena_ray.model.states import RunState

if TYPE_CHECKING:
    from arena_ray.model.records import Attempt, Checkpoint, Execution, Experiment, Revision, Run
    from arena_ray.model.spec import FlagValue
    from arena_ray.orchestrator.reader import Reader


@click.command()
@output_options
def experiments(as_json: bool) -> None:
    """List the experiments and how their runs stand."""
    with open_reader() as reader:
        found, runs = reader.experiments(), reader.runs()
        executions = {each.name: _executions(reader, each, runs) for each in found}
    states = _states_by_experiment(runs)
    if as_json:
        print_json(
            [merged(each, runs=dict(states.get(each.name, {})), executions=executions[each.name]) for each in found]
        )
        return
    print_table(
        [
            {
                "experiment": each.name,
                "project": each.project or ABSENT,
                "runs": ", ".join(f"{number} {state}" for state, number in states.get(each.name, {}).items()) or ABSENT,
                "plugin": _steered(executions[each.name][:1]),
                "created": moment(each.created_at),
            }
            for each in found
        ],
        empty="no experiments yet; start one with 'arena run FILE'",
    )


@click.command()
@click.option("--experiment", metavar="NAME", help="Only the runs of this experiment.")
@click.option("--state", type=click.Choice([state.value for state in RunState]), help="Only the runs in this state.")
@output_options
def runs(experiment: str | None, state: str | None, as_json: bool) -> None:
    """List the runs, with state, progress and reason."""
    with open_reader() as reader:
        if experiment is not None:
            experiment = reader.experiment(experiment).name
        found = reader.runs(experiment=experiment, state=state)
    if as_json:
        print_json(found)
    else:
        print_table([run_row(run) for run in found], empty="no such runs; start one with 'arena run FILE'")


@click.command()
@click.argument("name", metavar="RUN_OR_EXPERIMENT")
@output_options
def show(name: str, as_json: bool) -> None:
    """Show everything about one run or one experiment.

    A run is named by its id, its name or the begin of either, where no other run begins like it.
    """
    with open_reader() as reader:
        experiment = _experiment_named(reader, name)
        if experiment is not None:
            runs = reader.runs(experiment=experiment.name)
            _show_experiment(experiment, runs, executions=_executions(reader, experiment, runs), as_json=as_json)
            return
        run = require_run(reader, name)
        _show_run(
            run,
            revision=reader.revision(run.revision_id),
            attempts=reader.attempts(run.run_id),
            checkpoints=reader.checkpoints(run.run_id),
            as_json=as_json,
        )


@click.command()
@click.argument("run", metavar="RUN")
@output_options
def checkpoints(run: str, as_json: bool) -> None:
    """List the checkpoints of a run, furthest in training first."""
    with open_reader() as reader:
        found = reader.checkpoints(run)
    if as_json:
        print_json(found)
    else:
        print_table([_checkpoint_row(each) for each in found], empty="no checkpoint yet")


def _executions(reader: Reader, experiment: Experiment, runs: list[Run]) -> list[Execution]:
    """Return the experiment's plugin executions, newest first; not asked for where its *runs* show that none is."""
    own = [run for run in runs if run.experiment_id == experiment.experiment_id]
    is_plain = bool(own) and all(run.execution_id is None for run in own)
    return [] if is_plain else reader.executions(experiment.name)


def _steered(executions: list[Execution]) -> str:
    return ", ".join(f"{each.plugin} ({each.state.value})" for each in executions) or ABSENT


def _states_by_experiment(runs: list[Run]) -> dict[str, Counter[str]]:
    states: dict[str, Counter[str]] = {}
    for run in runs:
        states.setdefault(run.experiment, Counter())[run.state.value] += 1
    return states


def _experiment_named(reader: Reader, name: str) -> Experiment | None:
    try:
        return reader.experiment(name)
    except NotFound:
        return None


def _show_experiment(experiment: Experiment, runs: list[Run], *, executions: list[Execution], as_json: bool) -> None:
    if as_json:
        print_json(merged(experiment, executions=executions, runs=runs))
        return
    print_facts(
        [
            ("experiment", experiment.name),
            ("id", experiment.experiment_id),
            ("project", experiment.project or ABSENT),
            ("plugin", _steered(executions)),
            *(("reason", f"{each.plugin}: {each.reason}") for each in executions if each.reason),
            ("created", moment(experiment.created_at)),
        ]
    )
    click.echo()
    print_table([run_row(run) for run in runs], empty="no runs yet")


def _show_run(
    run: Run, *, revision: Revision, attempts: list[Attempt], checkpoints: list[Checkpoint], as_json: bool
) -> None:
    files = {"tensorboard": str(workspace().run(run.name).tensorboard), "log": str(workspace().run(run.name).log)}
    if as_json:
        print_json(merged(run, configuration=revision, attempts=attempts, checkpoints=checkpoints, files=files))
        return
    print_facts(_run_facts(run, revision) + list(files.items()))
    click.echo()
    print_table([_attempt_row(each) for each in attempts], empty="no attempt yet")
    click.echo()
    print_table([_checkpoint_row(each) for each in checkpoints], empty="no checkpoint yet")


def _run_facts(run: Run, revision: Revision) -> list[tuple[str, str]]:
    state = run.state.value if run.intent == "none" else f"{run.state.value}, asked to {run.intent.replace('_', ' ')}"
    return [
        ("run", run.name),
        ("id", run.run_id),
        ("experiment", f"{run.experiment}, revision {run.revision} ({revision.digest[:12]})"),
        ("script", f"{run.runner} {run.script} on {run.env_id}, seed {run.seed}"),
        ("flags", _assignments(revision.flags)),
        ("hyperparameters", _assignments(run.hyperparameters)),
        ("member", f"run {run.member} of its plugin, {run.generation} exploits" if run.execution_id else ABSENT),
        ("state", state),
        ("reason", run.reason or ABSENT),
        ("resume", run.resume.value + (f": {run.resume_reason}" if run.resume_reason else "")),
        (
            "progress",
            f"step {run.global_step:,}, return {figure(run.episodic_return)}, {figure(run.steps_per_second)} steps/s",
        ),
        ("node", f"{run.node or ABSENT} ({run.resources})"),
        ("started", moment(run.started_at)),
        ("ended", moment(run.ended_at)),
    ]


def _assignments(values: Mapping[str, FlagValue]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items()) or ABSENT


def _attempt_row(attempt: Attempt) -> dict[str, str]:
    return {
        "attempt": str(attempt.number),
        "node": attempt.node[:12],
        "started": moment(attempt.started_at),
        "ended": moment(attempt.ended_at),
        "resumed from": attempt.resumed_from or ABSENT,
        "outcome": attempt.outcome.value if attempt.outcome else ABSENT,
        "reason": (attempt.reason or ABSENT).splitlines()[0],
    }


def _checkpoint_row(checkpoint: Checkpoint) -> dict[str, str]:
    return {
        "step": f"{checkpoint.global_step:,}{' (final)' if checkpoint.is_final else ''}",
        "attempt": str(checkpoint.attempt),
        "return": figure(checkpoint.episodic_return),
        "size": f"{checkpoint.size_bytes / 1e6:.1f} MB",
        "policy": checkpoint.policy_digest[:12] or ABSENT,
        "created": moment(checkpoint.created_at),
        "path": checkpoint.uri,
    }
