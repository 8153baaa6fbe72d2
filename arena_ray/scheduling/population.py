"""Population-based training without Ray and without a clock: who may go on, and who takes over whose weights.

Members are compared at equal milestones only. Everything follows from the order in which they arrived; how often
:meth:`Population.decide` is called, and when, changes nothing. So a population that is fed the recorded history again
goes on as if it had never been away.

Source: Jaderberg et al., Population Based Training of Neural Networks, 2017; the gate against noise is that of Sample
Factory (``pbt_replace_reward_gap``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import FlagValue
from arena_ray.scheduling.judgement import Judge, Rules, Takeover
from arena_ray.scheduling.member import Life, Member, Part, Standing

__all__ = ["Decision", "Population", "Rules", "Takeover"]


@dataclass(frozen=True)
class Decision:
    """The member may go on; with its own weights where ``exploit`` is None."""

    clone: str
    exploit: Takeover | None


class Population:
    """The members of one population, what each has reached, and who may go on how."""

    def __init__(self, rules: Rules, space: SearchSpace) -> None:
        self._rules = rules
        self._members: dict[str, Member] = {}
        self._judge = Judge(rules, space, self._members)
        self._arrivals = 0

    def add(self, key: str, *, member: int, hyperparameters: Mapping[str, FlagValue], generation: int = 0) -> None:
        """Let a member take part.

        Args:
            key: Its name here.
            member: Its number; ties are broken by it.
            hyperparameters: Those it began with at *generation*.
            generation: Where it begins: 0 where :meth:`restore_exploit` is to tell its exploits.
        """
        lives = {generation: Life(0, dict(hyperparameters))}
        self._members[key] = Member(key, member, lives, newest_number=generation)

    def observe(self, key: str, *, milestone: int, score: float, checkpoint: Any, is_measured: bool = True) -> None:
        """Take in that a member holds at a milestone. A repeated call, after a crash, changes no decision."""
        member = self._members[key]
        generation = member.generation_at(milestone)
        self._arrive(member, Standing(milestone, score, checkpoint, generation, is_measured=is_measured))
        if member.part is Part.ACTIVE:
            member.waits_at = milestone

    def recall(
        self,
        key: str,
        *,
        milestone: int,
        score: float,
        checkpoint: Any,
        generation: int,
        is_measured: bool = True,
    ) -> None:
        """Take in a milestone of the recorded history, in the order of the records; the member does not wait there."""
        standing = Standing(milestone, score, checkpoint, generation, is_measured=is_measured)
        self._arrive(self._members[key], standing)

    def settle(self, takeover: Takeover, clone: str) -> None:
        """Take in that an exploit is committed: generation and hyperparameters of the clone are others now."""
        self.restore_exploit(
            clone,
            generation=takeover.generation,
            milestone=takeover.milestone,
            hyperparameters=takeover.hyperparameters,
            score=takeover.donor_score,
        )

    def restore_exploit(
        self,
        key: str,
        *,
        generation: int,
        milestone: int,
        hyperparameters: Mapping[str, FlagValue],
        score: float = math.nan,
    ) -> None:
        """Take in an exploit of the recorded history, in the order of the records; *score* is the donor's."""
        member = self._members[key]
        member.lives[generation] = Life(milestone, dict(hyperparameters), score)
        member.newest_number = max(member.newest_number, generation)

    def revoke_exploit(self, key: str, *, generation: int) -> None:
        """Take in that an exploit failed: the member has gone on as it was. Its number is not given again."""
        member = self._members[key]
        if len(member.lives) > 1:
            member.lives.pop(generation, None)
        member.newest_number = max(member.newest_number, generation)

    def retire(self, key: str) -> None:
        """Take in that a member has ended well: it reaches no further milestone and stays a donor."""
        self._leave(key, Part.RETIRED)

    def drop(self, key: str) -> None:
        """Take in that a member failed or was stopped: it neither counts nor donates any more."""
        self._leave(key, Part.DROPPED)

    def suspend(self, key: str) -> None:
        """Take in that the user paused a member: nobody waits for it, and it is decided when it comes here again."""
        if self._members[key].part is Part.ACTIVE:
            self._members[key].part = Part.SUSPENDED
        self._members[key].waits_at = None

    def resume(self, key: str) -> None:
        """Take in that a member goes on that was paused, or had failed."""
        if self._members[key].part is not Part.RETIRED:
            self._members[key].part = Part.ACTIVE

    def decide(self) -> list[Decision]:
        """Return who may go on now, and how. Each arrival is decided once, and exploits are settled."""
        ready = sorted((member for member in self._members.values() if self._may_go_on(member)), key=self._turn)
        decisions = []
        for member in ready:
            assert member.waits_at is not None
            exploit = self._judge.judge(member, member.standings[member.waits_at])
            decisions.append(Decision(member.key, exploit))
            member.waits_at = None
            if exploit is not None:
                self.settle(exploit, member.key)
        return decisions

    @property
    def waiting(self) -> frozenset[str]:
        """The members that hold at a milestone and have not been decided."""
        return frozenset(key for key, member in self._members.items() if member.waits_at is not None)

    def milestone_of(self, key: str) -> int:
        """Return the newest milestone that the member has reached; 0 before the first."""
        return self._members[key].milestone

    def generation_of(self, key: str) -> int:
        """Return the number of the member's newest exploit; 0 before the first."""
        return self._members[key].generation

    def hyperparameters_of(self, key: str) -> dict[str, FlagValue]:
        """Return the member's hyperparameters as they are now."""
        member = self._members[key]
        return member.hyperparameters(member.generation)

    def _arrive(self, member: Member, standing: Standing) -> None:
        before = member.standings.get(standing.milestone)
        if before is not None:  # it came here again: its place in the order and its generation are those of then
            before.score, before.is_measured = standing.score, standing.is_measured
            before.checkpoint = standing.checkpoint
            return
        self._arrivals += 1
        standing.arrival = self._arrivals
        member.standings[standing.milestone] = standing
        standing.judged_at = self._judge.comparable_at(member, standing)

    def _leave(self, key: str, part: Part) -> None:
        self._members[key].part = part
        self._members[key].waits_at = None

    def _turn(self, member: Member) -> int:
        return member.number if self._rules.synchronous else member.standings[member.waits_at or 0].arrival

    def _may_go_on(self, member: Member) -> bool:
        if member.waits_at is None or member.part is not Part.ACTIVE:
            return False
        # Whoever is furthest behind may always go on once it waits, so nothing ever hangs.
        active = (m for m in self._members.values() if m.part is Part.ACTIVE)
        return not self._rules.synchronous or all(m.milestone >= member.waits_at for m in active)
