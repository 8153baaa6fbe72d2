"""What stats writers are told of a run, in ML-Agents' words as far as these are true of it."""

from __future__ import annotations

from collections.abc import Mapping

from arena_ray.model.paths import RunFiles
from arena_ray.model.records import Checkpoint, Run
from arena_ray.model.spec import FlagValue
from arena_ray.plugin.stats_writer import CheckpointSettings, EnvironmentSettings, RunFacts, RunOptions
from arena_ray.runner.protocol import ScriptReport


def known_hyperparameters(run: Run, script: ScriptReport, *, flags: Mapping[str, FlagValue]) -> dict[str, FlagValue]:
    """Return what is known of the values that a script trains with.

    Args:
        run: Its seed and its environment are given to the script besides.
        script: Its arguments: the defaults that are written out, and that it does not replace by others.
        flags: What it was started with.
    """
    names = [one.name for one in script.arguments if one.overwritten_line is None]
    known = {one.name: one.default for one in script.arguments if one.name in names and one.default is not None}
    given: dict[str, FlagValue] = {"env_id": run.env_id, "seed": run.seed}
    return known | {name: value for name, value in given.items() if name in names} | dict(flags)


def options_for(
    run: Run,
    *,
    attempt: int,
    checkpoint: Checkpoint | None,
    files: RunFiles,
    hyperparameters: Mapping[str, FlagValue],
) -> RunOptions:
    """Return the options of this attempt at *run*, which begins from *checkpoint*."""
    return RunOptions(
        CheckpointSettings(run_id=files.root.name, results_dir=str(files.root.parent), resume=checkpoint is not None),
        EnvironmentSettings(seed=run.seed),
        RunFacts(
            run_id=run.run_id,
            attempt=attempt,
            experiment=run.experiment,
            revision=run.revision,
            runner=run.runner,
            script=run.script,
            env_id=run.env_id,
            hyperparameters=dict(hyperparameters),
        ),
    )
