"""Where the weights of a run come from, from run to run, and the schedule of hyperparameters they were trained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from arena_ray.model.configurations import tuned_names
from arena_ray.model.errors import SpecError
from arena_ray.model.records import Exploit, Lineage, Run
from arena_ray.model.schedule import Change, Schedule
from arena_ray.model.spec import FlagValue


@dataclass(frozen=True)
class Stage:
    """A stretch of training that weights went through: in which run, from which step on, and with what."""

    run: Run
    step: int
    hyperparameters: Mapping[str, FlagValue]
    exploit: Exploit | None
    """By which the run took the weights over; None where it began with fresh ones."""


def ancestry(lineage: Lineage, run: Run) -> list[Stage]:
    """Return the stages of the weights that *run* has now, oldest first."""
    runs = {each.run_id: each for each in lineage.runs}
    exploits = {(each.run_id, each.generation): each for each in lineage.exploits}
    stages: list[Stage] = []
    run_id, generation = run.run_id, run.generation
    while (exploit := exploits.pop((run_id, generation), None)) is not None:
        stages.append(Stage(runs[run_id], exploit.global_step, exploit.hyperparameters, exploit))
        run_id, generation = exploit.donor_run_id, exploit.donor_generation
    stages.append(Stage(runs[run_id], 0, first_hyperparameters(lineage, runs[run_id]), None))
    return stages[::-1]


def first_hyperparameters(lineage: Lineage, run: Run) -> Mapping[str, FlagValue]:
    """Return with what *run* began, where exploits have changed it: the tuned hyperparameters alone."""
    taken = [each for each in lineage.exploits if each.run_id == run.run_id]
    return min(taken, key=lambda each: each.generation).hyperparameters_before if taken else run.hyperparameters


def require_execution(run: Run) -> str:
    """Return the plugin execution that *run* is of.

    Raises:
        SpecError: It is of none.
    """
    if run.execution_id is None:
        raise SpecError(
            f"run {run.name} has no schedule: no plugin has steered it, and its hyperparameters never changed; "
            "for another run of it give 'arena run' its experiment file"
        )
    return run.execution_id


def schedule_of(lineage: Lineage, run: Run) -> Schedule:
    """Return which tuned hyperparameters held over which steps along the weights that *run* has now.

    Raises:
        SpecError: Nothing was tuned.
    """
    names = tuned_names(lineage.execution, lineage.runs)
    changes: dict[int, Change] = {}
    before: Mapping[str, FlagValue] = {}
    for stage in ancestry(lineage, run):
        changed = {
            name: stage.hyperparameters[name]
            for name in names
            if name in stage.hyperparameters and (name not in before or before[name] != stage.hyperparameters[name])
        }
        before = stage.hyperparameters
        if changed:
            earlier = changes[stage.step].hyperparameters if stage.step in changes else {}
            changes[stage.step] = Change(step=stage.step, hyperparameters={**earlier, **changed})
    if not changes:
        raise SpecError(f"none of the hyperparameters of {run.name} was tuned by a plugin: there is no schedule")
    return Schedule.parse([change.model_dump() for change in changes.values()], prefix=f"schedule of {run.name}")
