"""The lineage of a population as lanes of a drawing: what is to be drawn where, without a word on how."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from arena_ray.model.ancestry import ancestry, first_hyperparameters
from arena_ray.model.errors import SpecError, nearest
from arena_ray.model.records import Exploit, Lineage, Run
from arena_ray.model.spec import FlagValue
from arena_ray.model.standing import Standing
from arena_ray.model.states import ExploitOutcome

SCORE = "score"


@dataclass(frozen=True)
class Piece:
    """A piece of a run's lane, from one step to another; *value* is None where nothing was measured."""

    lane: int
    begin: int
    end: int
    value: FlagValue = None


@dataclass(frozen=True)
class Passing:
    """An exploit: from where on the donor's lane to where on the receiver's."""

    exploit: Exploit
    donor: tuple[int, int]
    """Step, lane."""
    receiver: tuple[int, int]
    is_on_the_way: bool
    """Whether the best run's weights came by it."""


class Lanes:
    """One lane a run, the best run's first.

    Args:
        lineage: Of one plugin execution.
        colour: What the pieces' values are: ``score``, or the name of a hyperparameter.

    Raises:
        SpecError: No plugin has steered the experiment, it has no run yet, or no run has this hyperparameter.
    """

    def __init__(self, lineage: Lineage, *, colour: str = SCORE) -> None:
        if lineage.execution is None or not lineage.runs:
            why = "has started no run yet" if lineage.execution else "has no plugin"
            raise SpecError(f"there is nothing to draw: experiment {lineage.experiment} {why}")
        known = {SCORE, *(name for run in lineage.runs for name in run.hyperparameters)}
        if colour not in known:
            raise SpecError(f"cannot colour by {colour!r}; {nearest(colour, sorted(known))}")
        self.lineage = lineage
        self.colour = colour
        self.standing = Standing(lineage)
        self.runs: tuple[Run, ...] = self.standing.ranked
        self._lane = {run.run_id: lane for lane, run in enumerate(self.runs)}
        self._steps = {(one.run_id, one.number): one.global_step for one in lineage.milestones}

    def pieces(self) -> list[Piece]:
        """Return the pieces of all lanes, each with what held or was reached there."""
        return [piece for run in self.runs for piece in self._pieces(run)]

    def _pieces(self, run: Run) -> list[Piece]:
        ends = self._scores(run) if self.colour == SCORE else self._values(run)
        lane = self._lane[run.run_id]
        return [
            Piece(lane, begin, end, value)
            for (begin, _), (end, value) in pairwise([(0, None), *sorted(ends.items())])
            if end > begin
        ]

    def _scores(self, run: Run) -> dict[int, FlagValue]:
        """Return by step what the run had reached there."""
        reached: dict[int, FlagValue] = {run.global_step: _measured(self.standing.score(run))}
        own = (one for one in self.lineage.milestones if one.run_id == run.run_id and one.global_step < run.global_step)
        return reached | {one.global_step: _measured(one.score) for one in own}

    def _values(self, run: Run) -> dict[int, FlagValue]:
        """Return by step what had held up to there."""
        held: Mapping[str, FlagValue] = first_hyperparameters(self.lineage, run)
        ends: dict[int, FlagValue] = {}
        for exploit in sorted(self.lineage.exploits, key=lambda one: one.generation):
            if exploit.run_id == run.run_id and exploit.outcome is ExploitOutcome.APPLIED:
                ends[exploit.global_step] = held.get(self.colour)
                held = {**held, **exploit.hyperparameters}
        return ends | {max([run.global_step, *ends]): held.get(self.colour)}

    def passings(self) -> list[Passing]:
        """Return the exploits in the order they were decided."""
        way = {(one.run_id, one.generation) for one in self._exploits_on_the_way()}
        found = []
        for exploit in self.lineage.exploits:
            if exploit.run_id in self._lane and exploit.donor_run_id in self._lane:
                given = self._steps.get((exploit.donor_run_id, exploit.donor_milestone), exploit.global_step)
                donor = (min(given, exploit.global_step), self._lane[exploit.donor_run_id])
                receiver = (exploit.global_step, self._lane[exploit.run_id])
                is_on_the_way = (exploit.run_id, exploit.generation) in way
                found.append(Passing(exploit, donor, receiver, is_on_the_way=is_on_the_way))
        return found

    def way(self) -> list[Piece]:
        """Return the pieces of lanes on which the best run's weights were trained, oldest first; none without one."""
        if self.standing.winner is None:
            return []
        steps = {(one.exploit.run_id, one.exploit.generation): one.donor[0] for one in self.passings()}
        stages = ancestry(self.lineage, self.standing.winner)
        pieces = []
        for stage, following in pairwise([*stages, None]):
            assert stage is not None, "only the last one is followed by nothing"
            end = stage.run.global_step
            if following is not None and following.exploit is not None:
                end = steps[following.exploit.run_id, following.exploit.generation]
            pieces.append(Piece(self._lane[stage.run.run_id], stage.step, max(end, stage.step)))
        return pieces

    def _exploits_on_the_way(self) -> list[Exploit]:
        if self.standing.winner is None:
            return []
        return [stage.exploit for stage in ancestry(self.lineage, self.standing.winner) if stage.exploit is not None]


def _measured(score: float) -> float | None:
    return score if math.isfinite(score) else None
