"""Takeovers that change what a script uses up before its main loop: a new process of the run is started with it.

The process that holds is ended, and the next attempt starts with the new flags, at the place of the run's checkpoint
but without its state. It holds there too, and is given the donor's weights like any other. Until then the checkpoint is
what the run goes back to, so that nothing is lost whatever dies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from arena_ray.model.records import Checkpoint
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import AttemptOutcome
from arena_ray.runner import preflight
from arena_ray.runner.attempt import End, Seek
from arena_ray.runner.protocol import ScriptReport
from arena_ray.scheduling.execution_port import ExploitOrder
from arena_ray.scheduling.port import Assignment

MOST_TRIES = 2
"""So often may a start anew be lost; then the run goes on as it was."""


@dataclass(frozen=True)
class Restart:
    """An exploit for which the run starts anew, and the flags that have changed: their values before and after."""

    order: ExploitOrder
    changes: Mapping[str, tuple[FlagValue, FlagValue]]

    def __str__(self) -> str:
        return ", ".join(f"{name} {before} → {after}" for name, (before, after) in self.changes.items())

    @property
    def generation(self) -> int:
        """What the run is of afterwards."""
        return self.order.exploit.generation

    @property
    def note(self) -> str:
        """What the run's log is told."""
        return f"starts anew with {self}: this cannot be changed while the script runs; resume is warm"

    @property
    def end_before(self) -> End:
        """How the attempt ends that cannot carry it out."""
        values = ", ".join(f"{name} {after}" for name, (_, after) in self.changes.items())
        origin = f"generation {self.generation} from run {self.order.exploit.donor_run_id}"
        return End(AttemptOutcome.PREEMPTED, f"starts anew with {values}: {origin}")

    def failure(self, why: str) -> str:
        """Return why it failed."""
        return f"could not start anew with {self}: {why}"


@dataclass(frozen=True)
class Entry:
    """How an attempt begins: its flags, and the exploit for which it starts anew."""

    flags: Mapping[str, FlagValue]
    restart: Restart | None = None
    seek: Seek | None = None

    @property
    def notes(self) -> list[str]:
        """What the run's log is told."""
        return [self.restart.note] if self.restart else []


@dataclass
class History:
    """What one actor knows of the restarts of its run."""

    departures: Counter[int] = field(default_factory=Counter)
    """How often an attempt has ended so that the next one starts anew, by the generation that is to be of."""
    losses: Counter[int] = field(default_factory=Counter)
    """How many attempts that started anew were lost over it, likewise."""
    decided_at: tuple[int, int] | None = None
    """Boundary and generation where one failed: the run is not judged there once more."""

    def forget(self, generation: int) -> None:
        """Take in that the run has started anew."""
        del self.departures[generation], self.losses[generation]


def fixed_changes(
    script: ScriptReport, values: Mapping[str, FlagValue], *, flags: Mapping[str, FlagValue]
) -> dict[str, tuple[FlagValue, FlagValue]]:
    """Return those of *values* that cannot be set while the script runs and differ from what it was given.

    Args:
        script: What is known of it.
        values: By flag.
        flags: What it was started with; where they are silent its defaults count.
    """
    fixed = [one for one in script.arguments if one.name in values and one.fixed_line is not None]
    pairs = {one.name: (flags.get(one.name, one.default), values[one.name]) for one in fixed}
    return {name: (before, after) for name, (before, after) in pairs.items() if before != after}


def flags_of(assignment: Assignment, generation: int) -> dict[str, FlagValue]:
    """Return what the script was given, and has taken over since, when it was of this *generation*."""
    flags = dict(assignment.revision.flags)
    for order in assignment.exploits:
        if order.exploit.generation <= generation:
            flags |= order.exploit.hyperparameters
    return flags


def find_entry(assignment: Assignment, checkpoint: Checkpoint | None, script: ScriptReport) -> Entry:
    """Return how an attempt begins from *checkpoint*: with the flags of its generation, or anew with those of the next.

    It starts anew where an exploit is to be carried out at this very boundary that changes what is fixed.
    """
    boundary, generation = (checkpoint.boundary, checkpoint.generation) if checkpoint else (0, 0)
    flags = flags_of(assignment, generation)
    later = [order for order in assignment.exploits if order.exploit.generation > generation]
    waiting = [order for order in later if order.exploit.boundary == boundary]
    if checkpoint is None or not waiting or waiting[0].checkpoint is None:
        return Entry(flags)
    changes = fixed_changes(script, waiting[0].exploit.hyperparameters, flags=flags)
    if not changes:
        return Entry(flags)
    flags |= waiting[0].exploit.hyperparameters
    return Entry(flags, Restart(waiting[0], changes), Seek(preflight.total_steps(script, flags)))
