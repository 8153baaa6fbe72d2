"""The certificate of a plugin execution: each cell that it was to train, with the one result that counts."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import Field

from arena_ray.model.records import Attempt, Execution, Measure, Record
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import ExecutionState, RunState


class CellRun(Record):
    """A run of a cell with all its attempts."""

    run_id: str
    name: str
    state: RunState
    global_step: int
    episodic_return: Measure
    checkpoint_digest: str | None
    """sha256 of its final checkpoint's manifest; None where it has none."""
    metrics_digest: str | None
    """sha256 of what it had logged by then."""
    attempts: list[Attempt]


class Cell(Record):
    """What is trained once: a configuration with a seed."""

    env_id: str
    script: str
    hyperparameters: dict[str, FlagValue]
    """With which it began; a population changes them later."""
    flags: dict[str, FlagValue]
    """All that the script was given, hyperparameters included."""
    seed: int
    accepted: str | None
    """Id of the run whose result counts, the first one that has completed; None where there is none."""
    runs: list[CellRun]
    """More than one where it was asked for more than once, as by a random search that draws the same again."""


class Certificate(Record):
    """Whether each cell of an execution has exactly one accepted result."""

    execution: Execution
    cells: list[Cell]
    expected: int | None
    """How many runs the plugin has asked for; None where that was not written down."""
    problems: list[str] = Field(default_factory=list)
    """Why it is not complete, a sentence each."""

    @property
    def is_complete(self) -> bool:
        """Whether each cell has its result, and no run is missing."""
        return not self.problems

    def digest(self) -> str:
        """Return the sha256 of what was trained and what came of it; equal for executions that cannot be told apart.

        Names, ids, nodes, times and attempts that were lost do not count.
        """
        cells = sorted(json.dumps(_content(cell), sort_keys=True) for cell in self.cells)
        return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def _content(cell: Cell) -> dict[str, Any]:
    accepted = [run for run in cell.runs if run.run_id == cell.accepted]
    keys = {"global_step", "episodic_return", "metrics_digest"}
    results = [run.model_dump(mode="json", include=keys) for run in accepted]
    return cell.model_dump(mode="json", include={"env_id", "script", "flags", "seed"}) | {"results": results}


def certify(execution: Execution, cells: list[Cell], *, expected: int | None) -> Certificate:
    """Return the certificate of *cells*, with what is wrong with them."""
    problems = []
    if execution.state is not ExecutionState.COMPLETED:
        problems.append(f"the execution is {execution.state}" + (f": {execution.reason}" if execution.reason else ""))
    runs = [run for cell in cells for run in cell.runs]
    if expected is not None and len(runs) != expected:
        problems.append(f"{expected} runs were asked for, and there are {len(runs)}")
    for cell in cells:
        if cell.accepted is None:
            problems += [f"{run.name} is {run.state}, not completed" for run in cell.runs]
    return Certificate(execution=execution, cells=cells, expected=expected, problems=problems)
