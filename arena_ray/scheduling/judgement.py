"""Whether a member of a population is to take over another one's weights, and whose.

A judgement uses only what was known when the member arrived, so it comes out the same whenever it is made.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import ExploitCause
from arena_ray.plugin.study import Explore, Mode
from arena_ray.scheduling.experience import outset, stretches
from arena_ray.scheduling.member import Life, Member, Part, Standing
from arena_ray.scheduling.pb2 import Outset, propose

QUORUM = 0.75
"""Share of the population that must have reached a milestone before anyone is judged there: among few, the worst may
still be good."""


@dataclass(frozen=True)
class Rules:
    """How a population is judged; the fields are those of :class:`arena_ray.plugin.study.Pbt`."""

    mode: Mode
    quantile_fraction: float = 0.25
    resample_probability: float = 0.25
    perturbation_factors: tuple[float, float] = (1.2, 0.8)
    min_gap: float = 0.1
    synchronous: bool = False
    explore: Explore = "perturb"
    seed: int = 0


@dataclass(frozen=True)
class Takeover:
    """A member gets weights and optimizer of a donor, and the donor's hyperparameters, perturbed.

    ``milestone`` is where the clone holds, ``generation`` what it becomes. ``donor_score`` is that of the weights that
    it gets, ``score`` its own at the same steps.
    """

    donor: str
    donor_generation: int
    donor_milestone: int
    checkpoint: Any
    hyperparameters: dict[str, FlagValue]
    hyperparameters_before: dict[str, FlagValue]
    cause: ExploitCause
    generation: int
    milestone: int
    score: float
    donor_score: float


class Judge:
    """Compares the *members* of a population by *rules*."""

    def __init__(self, rules: Rules, space: SearchSpace, members: Mapping[str, Member]) -> None:
        self._rules = rules
        self._space = space
        self._members = members
        self._lives_to_be: dict[tuple[str, int], Life | None] = {}
        """What has been judged before its turn, by member and arrival."""

    def comparable_at(self, member: Member, standing: Standing) -> int:
        """Return the milestone at which a member that arrives is compared: the newest with a quorum; 0 if none.

        It has to have a score there of its present generation, and not to have been compared there before.
        """
        if self._rules.synchronous or not standing.is_finite:
            return standing.milestone
        earlier = [s for s in member.standings.values() if s.milestone < standing.milestone]
        done = max([member.exploited_at, *(s.judged_at for s in earlier)])
        for own in sorted([standing, *earlier], key=lambda s: -s.milestone):
            if own.milestone <= done:
                return 0
            if own.is_finite and self._has_quorum(own.milestone, member, standing):
                return own.milestone
        return 0

    def judge(self, member: Member, standing: Standing) -> Takeover | None:
        """Return what a member that holds there is to take over; None where it goes on as it is."""
        if standing.milestone <= member.exploited_at:  # it came here again, after a crash
            return None
        if not standing.is_finite:
            return self._rescued(member, standing) if standing.is_measured else None
        if not standing.judged_at:
            return None
        own = member.standings[standing.judged_at].score
        scores = self._scores_at(standing.judged_at, member, standing) | {member.key: own}
        ranking = self._ranked(scores)
        size = self._quantile_size(len(ranking))
        if ranking.index(member.key) < len(ranking) - size:
            return None
        rng = self._rng(member)
        donor = self._donor(ranking[:-size], scores, standing, rng)
        if donor is None or not self._is_gap(own, scores[donor]):
            return None
        takeover = self._takeover(member, standing, donor, ExploitCause.QUANTILE, rng)
        # Where only an old milestone could be compared, the weights to be had must be better too, at equal steps.
        return takeover if self._is_gap(takeover.score, takeover.donor_score) else None

    def _is_gap(self, score: float, donor_score: float) -> bool:
        """Return whether the donor is better, by more than noise."""
        return self._sign * (donor_score - score) > self._rules.min_gap * abs(donor_score)

    def _rescued(self, member: Member, standing: Standing) -> Takeover | None:
        """Give a diverged member sound weights if anyone has any; a gap is not asked for, nor in need a quorum."""
        until = self._horizon(standing)
        places = {s.milestone for m in self._others(member) for s in m.standings.values() if s.arrival <= until}
        behind = sorted((p for p in places | {standing.milestone} if p <= standing.milestone), reverse=True)
        for place in sorted(behind, key=lambda p: not self._has_quorum(p, member, standing)):
            scores = self._scores_at(place, member, standing) | {member.key: standing.score}
            rng = self._rng(member)
            donor = self._donor(self._ranked(scores), scores, standing, rng)
            if donor is not None:
                return self._takeover(member, standing, donor, ExploitCause.DIVERGED, rng)
        return None

    def _has_quorum(self, milestone: int, member: Member, standing: Standing) -> bool:
        taking_part = [m for m in self._members.values() if m.part in (Part.ACTIVE, Part.RETIRED)]
        reached = 1 + len(self._scores_at(milestone, member, standing))
        return reached >= max(2, math.ceil(len(taking_part) * QUORUM))

    def _scores_at(self, milestone: int, member: Member, standing: Standing) -> dict[str, float]:
        """Return the scores of the others that had reached *milestone* when the member arrived at *standing*."""
        until = self._horizon(standing)
        found = {m.key: m.first_from(milestone, until=until) for m in self._others(member)}
        return {key: reached.score for key, reached in found.items() if reached is not None}

    def _others(self, member: Member) -> Sequence[Member]:
        return [m for m in self._members.values() if m is not member and m.part is not Part.DROPPED]

    def _horizon(self, standing: Standing) -> float:
        """Return the last arrival that counts; members that wait for each other all count."""
        return math.inf if self._rules.synchronous else standing.arrival

    def _ranked(self, scores: Mapping[str, float]) -> list[str]:
        """Return the members from best to worst."""

        def rank(key: str) -> tuple[bool, float, int]:
            score, number = scores[key], self._members[key].number
            return (False, -self._sign * score, number) if math.isfinite(score) else (True, 0.0, number)

        return sorted(scores, key=rank)

    def _donor(
        self, ranking: Sequence[str], scores: Mapping[str, float], standing: Standing, rng: random.Random
    ) -> str | None:
        """Choose among the best of *ranking* that are sound: finite there, and where their weights come from."""
        sound = []
        for key in ranking:
            weights = self._members[key].newest_to(standing.milestone, until=self._horizon(standing))
            if math.isfinite(scores[key]) and weights is not None and weights.is_finite:
                sound.append(key)
        return rng.choice(sound[: max(1, self._quantile_size(len(scores)))]) if sound else None

    def _takeover(
        self,
        member: Member,
        standing: Standing,
        donor_key: str,
        cause: ExploitCause,
        rng: random.Random,
    ) -> Takeover:
        donor = self._members[donor_key]
        source = donor.newest_to(standing.milestone, until=self._horizon(standing))
        assert source is not None
        return Takeover(
            donor=donor.key,
            donor_generation=source.generation,
            donor_milestone=source.milestone,
            checkpoint=source.checkpoint,
            hyperparameters=self._explored(member, standing, donor, source, rng),
            hyperparameters_before=member.hyperparameters(member.generation),
            cause=cause,
            generation=member.newest_number + 1,
            milestone=standing.milestone,
            score=self._score_beside(source, member, standing),
            donor_score=source.score,
        )

    def _explored(
        self, member: Member, standing: Standing, donor: Member, source: Standing, rng: random.Random
    ) -> dict[str, FlagValue]:
        """Return with what a member goes on that gets the weights of *source*."""
        perturbed = self._space.perturb(
            donor.hyperparameters(source.generation),
            factors=self._rules.perturbation_factors,
            resample_probability=self._rules.resample_probability,
            rng=rng,
        )
        if self._rules.explore == "perturb":
            return perturbed
        start = Outset(standing.milestone, self._sign * source.score, perturbed)
        known = stretches(
            (member, *self._others(member)), sign=self._sign, is_known=lambda one: self._is_known(one, standing)
        )
        return propose(self._space, start, known=known, pending=self._under_way(member, standing), rng=rng)

    def _under_way(self, member: Member, standing: Standing) -> list[Outset]:
        """Return with what the others have gone on, or will, from where they were when the member arrived.

        What has not been decided yet, since a driver died in between, is judged here: it will come out the same.
        """
        found = []
        for other in self._others(member):
            seen = [s for s in other.standings.values() if self._is_known(s, standing)]
            newest = max(seen, key=lambda s: s.milestone, default=None)
            if newest is None:
                continue
            life = other.lives.get(newest.generation)
            if not self._rules.synchronous or (newest.milestone, other.number) < (standing.milestone, member.number):
                life = other.life_at(newest) or self._life_to_be(other, newest) or life
            if life is not None:
                found.append(outset(newest, life, sign=self._sign))
        return found

    def _life_to_be(self, member: Member, standing: Standing) -> Life | None:
        if standing.milestone < member.milestone:  # it has gone on from there, and without an exploit
            return None
        key = member.key, standing.arrival
        if key not in self._lives_to_be:
            takeover = self.judge(member, standing)
            life = Life(standing.milestone, takeover.hyperparameters, takeover.donor_score) if takeover else None
            self._lives_to_be[key] = life
        return self._lives_to_be[key]

    def _is_known(self, one: Standing, standing: Standing) -> bool:
        """Whether a member's standing had been reached when another member, or itself, arrived at *standing*."""
        if self._rules.synchronous:
            return one.milestone <= standing.milestone
        return one.arrival <= standing.arrival

    def _score_beside(self, source: Standing, member: Member, standing: Standing) -> float:
        """Return the member's own score at the steps of *source*, or else where it stands."""
        own = member.newest_to(source.milestone, until=self._horizon(standing))
        is_comparable = own is not None and own.milestone > member.exploited_at and standing.is_finite
        return own.score if own is not None and is_comparable else standing.score

    def _rng(self, member: Member) -> random.Random:
        # Of its own for each exploit: a decision does not depend on how many were made before.
        return random.Random(f"{self._rules.seed}/{member.number}/{member.newest_number + 1}")

    def _quantile_size(self, count: int) -> int:
        return min(math.ceil(count * self._rules.quantile_fraction), count // 2)

    @property
    def _sign(self) -> float:
        return 1.0 if self._rules.mode == "max" else -1.0
