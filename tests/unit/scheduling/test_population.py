from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena_ray.model.search_space import SearchSpace
from arena_ray.model.states import ExploitCause
from arena_ray.scheduling.experience import stretches
from arena_ray.scheduling.population import Decision, Population, Rules, Takeover

SPACE = SearchSpace.parse({"lr": {"uniform": [0.0, 1.0]}})
NAN = math.nan


def population_of(size: int, *, space: SearchSpace = SPACE, **rules: Any) -> Population:
    population = Population(Rules(**({"mode": "max"} | rules)), space)
    for number in range(size):
        population.add(f"m{number}", member=number, hyperparameters={"lr": (number + 1) / 16, "fixed": 7})
    return population


def arrive(population: Population, milestone: int, scores: Iterable[float]) -> dict[str, Takeover | None]:
    """Let members 0, 1, … arrive, in this order, and return what was decided."""
    for number, score in enumerate(scores):
        population.observe(f"m{number}", milestone=milestone, score=score, checkpoint=f"m{number}@{milestone}")
    return taken(population.decide())


def taken(decisions: list[Decision]) -> dict[str, Takeover | None]:
    return {decision.clone: decision.exploit for decision in decisions}


def test_the_worst_takes_over_weights_and_perturbed_hyperparameters_of_the_best() -> None:
    population = population_of(4)
    decisions = arrive(population, 1, [100.0, 50.0, 60.0, 10.0])
    assert {key: exploit and exploit.donor for key, exploit in decisions.items()} == {
        "m0": None,
        "m1": None,  # the worst of two: too few to judge by
        "m2": None,
        "m3": "m0",
    }
    takeover = decisions["m3"]
    assert takeover is not None
    assert (takeover.checkpoint, takeover.donor_milestone, takeover.donor_generation) == ("m0@1", 1, 0)
    assert (takeover.cause, takeover.score, takeover.donor_score) == (ExploitCause.QUANTILE, 10.0, 100.0)
    assert (takeover.generation, takeover.milestone) == (1, 1)
    assert takeover.hyperparameters_before == {"lr": 4 / 16, "fixed": 7}
    assert takeover.hyperparameters["fixed"] == 7
    assert SPACE.contains({"lr": takeover.hyperparameters["lr"]})
    assert population.generation_of("m3") == 1
    assert population.hyperparameters_of("m3") == takeover.hyperparameters


def test_whoever_was_exploited_may_be_exploited_again_only_by_a_score_of_its_own() -> None:
    population = population_of(2)
    assert arrive(population, 1, [9.0, 1.0])["m1"] is not None
    population.observe("m1", milestone=1, score=1.0, checkpoint="again")
    assert taken(population.decide()) == {"m1": None}
    second = arrive(population, 2, [9.0, 1.0])["m1"]
    assert second is not None
    assert second.generation == 2


def test_minimising_turns_the_order_round() -> None:
    decisions = arrive(population_of(2, mode="min"), 1, [9.0, 1.0])
    assert decisions == {"m0": None, "m1": None}  # nobody to compare with, and the better one
    population = population_of(2, mode="min")
    takeover = arrive(population, 1, [1.0, 9.0])["m1"]
    assert takeover is not None
    assert takeover.donor == "m0"


@pytest.mark.parametrize(("score", "exploited"), [(9.5, False), (9.0, False), (8.9, True)])
def test_a_gap_that_is_noise_is_left_alone(score: float, exploited: bool) -> None:
    decisions = arrive(population_of(2, min_gap=0.1), 1, [10.0, score])
    assert (decisions["m1"] is not None) == exploited


@pytest.mark.parametrize("score", [NAN, math.inf, -math.inf])
def test_a_diverged_member_is_replaced_whatever_the_quantile_and_the_gap(score: float) -> None:
    takeover = arrive(population_of(2, quantile_fraction=0.0, min_gap=1e9), 1, [1.0, score])["m1"]
    assert takeover is not None
    assert takeover.cause is ExploitCause.DIVERGED


def test_a_diverged_member_never_donates_and_is_not_rescued_by_another_one() -> None:
    assert arrive(population_of(3), 1, [NAN, NAN, NAN]) == {"m0": None, "m1": None, "m2": None}
    takeover = arrive(population_of(4, quantile_fraction=0.5), 1, [NAN, 5.0, 4.0, 1.0])["m3"]
    assert takeover is not None
    assert takeover.donor in {"m1", "m2"}


def test_a_diverged_member_that_is_ahead_of_the_others_is_rescued_with_what_they_had_before() -> None:
    population = population_of(4)
    arrive(population, 1, [4.0, 4.0, 4.0, 4.0])
    population.observe("m3", milestone=2, score=NAN, checkpoint="nan")
    takeover = taken(population.decide())["m3"]
    assert takeover is not None
    assert takeover.checkpoint in {"m0@1", "m1@1", "m2@1"}


def test_weights_are_not_taken_from_a_donor_that_has_diverged_since() -> None:
    population = population_of(3)
    for key, milestone, score in [("m0", 1, 9.0), ("m0", 2, NAN), ("m1", 1, 5.0)]:
        population.recall(key, milestone=milestone, score=score, checkpoint=f"{key}@{milestone}", generation=0)
    population.recall("m2", milestone=1, score=1.0, checkpoint="m2@1", generation=0)
    population.observe("m2", milestone=2, score=1.0, checkpoint="m2@2")
    population.observe("m1", milestone=2, score=1.0, checkpoint="m1@2")
    population.observe("m2", milestone=3, score=NAN, checkpoint="m2@3")
    takeover = taken(population.decide())["m2"]
    assert takeover is not None
    assert takeover.donor == "m1"


def test_scores_are_compared_at_equal_milestones_only() -> None:
    population = population_of(2)
    arrive(population, 1, [10.0, 10.0])
    for milestone in (2, 3):
        population.observe("m0", milestone=milestone, score=10.0 * milestone, checkpoint=f"m0@{milestone}")
        population.decide()
    population.observe("m1", milestone=2, score=19.0, checkpoint="m1@2")
    assert taken(population.decide()) == {"m1": None}  # 30 at milestone 3 would have beaten it


def test_the_weights_are_the_donor_s_newest_up_to_there_with_the_hyperparameters_it_had_then() -> None:
    population = population_of(2)
    for milestone in (1, 2, 3):
        population.observe("m0", milestone=milestone, score=10.0, checkpoint=f"m0@{milestone}")
        population.decide()
    population.restore_exploit("m0", generation=1, milestone=2, hyperparameters={"lr": 0.9})
    population.observe("m1", milestone=2, score=1.0, checkpoint="m1@2")
    takeover = taken(population.decide())["m1"]
    assert takeover is not None
    assert (takeover.checkpoint, takeover.donor_generation) == ("m0@2", 0)
    assert takeover.hyperparameters["lr"] != 0.9


def test_whoever_arrives_without_a_quorum_is_judged_where_there_is_one_and_only_once() -> None:
    population = population_of(4)
    population.observe("m3", milestone=1, score=1.0, checkpoint="m3@1")
    assert taken(population.decide()) == {"m3": None}
    arrive(population, 1, [9.0, 9.0, 9.0])
    population.observe("m3", milestone=2, score=2.0, checkpoint="m3@2")
    takeover = taken(population.decide())["m3"]
    assert takeover is not None
    assert (takeover.milestone, takeover.donor_milestone, takeover.score) == (2, 1, 1.0)
    population.observe("m2", milestone=2, score=9.0, checkpoint="m2@2")
    assert taken(population.decide()) == {"m2": None}


def test_ties_are_broken_by_the_number_of_the_member() -> None:
    population = population_of(4, min_gap=-1.0)
    decisions = arrive(population, 1, [5.0, 5.0, 5.0, 5.0])
    takeover = decisions["m3"]
    assert takeover is not None
    assert takeover.donor == "m0"


def test_a_member_that_ended_well_donates_and_one_that_failed_does_not() -> None:
    population = population_of(3)
    arrive(population, 1, [9.0, 8.0])
    population.retire("m0")
    population.drop("m1")
    population.observe("m2", milestone=1, score=1.0, checkpoint="m2@1")
    takeover = taken(population.decide())["m2"]
    assert takeover is not None
    assert takeover.donor == "m0"
    assert population.waiting == frozenset()


def test_an_exploit_that_failed_leaves_the_member_as_it_was_and_its_number_used() -> None:
    population = population_of(2)
    first = arrive(population, 1, [9.0, 1.0])["m1"]
    assert first is not None
    population.revoke_exploit("m1", generation=first.generation)
    assert population.generation_of("m1") == 0
    assert population.hyperparameters_of("m1") == first.hyperparameters_before
    second = arrive(population, 2, [9.0, 1.0])["m1"]
    assert second is not None
    assert second.generation == 2


class TestSynchronous:
    def test_all_wait_for_the_last_and_are_judged_together(self) -> None:
        population = population_of(4, synchronous=True)
        assert arrive(population, 1, [1.0, 9.0, 8.0]) == {}
        assert population.waiting == {"m0", "m1", "m2"}
        population.observe("m3", milestone=1, score=7.0, checkpoint="m3@1")
        decisions = taken(population.decide())
        assert [key for key, exploit in decisions.items() if exploit] == ["m0"]
        assert list(decisions) == ["m0", "m1", "m2", "m3"]

    @pytest.mark.parametrize("leave", [Population.retire, Population.drop, Population.suspend])
    def test_nobody_waits_for_a_member_that_left(self, leave: Callable[[Population, str], None]) -> None:
        population = population_of(3, synchronous=True)
        assert arrive(population, 1, [1.0, 9.0]) == {}
        leave(population, "m2")
        assert set(taken(population.decide())) == {"m0", "m1"}

    def test_a_paused_member_is_not_decided_before_it_is_resumed(self) -> None:
        population = population_of(2, synchronous=True)
        population.suspend("m1")
        assert set(arrive(population, 1, [1.0, 1.0])) == {"m0"}
        population.resume("m1")
        assert population.waiting == frozenset(), "it may be chosen to run"
        population.observe("m1", milestone=1, score=1.0, checkpoint="m1@1")
        assert set(taken(population.decide())) == {"m1"}

    def test_a_member_that_was_paused_where_it_waited_may_run_again(self) -> None:
        population = population_of(2, synchronous=True)
        population.observe("m0", milestone=1, score=1.0, checkpoint="m0@1")
        population.suspend("m0")
        population.resume("m0")
        assert population.waiting == frozenset()

    def test_a_member_that_jumped_over_a_number_has_reached_it(self) -> None:
        population = population_of(2, synchronous=True)
        population.observe("m0", milestone=3, score=9.0, checkpoint="m0@3")
        assert population.decide() == []
        population.observe("m1", milestone=2, score=1.0, checkpoint="m1@2")
        takeover = taken(population.decide())["m1"]
        assert takeover is not None
        assert takeover.checkpoint == "m0@3"
        assert population.waiting == {"m0"}
        population.observe("m1", milestone=3, score=9.0, checkpoint="m1@3")
        assert set(taken(population.decide())) == {"m0", "m1"}


SCORES = st.one_of(st.integers(-5, 5).map(float), st.sampled_from([NAN, math.inf, -math.inf]))
ARRIVALS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), SCORES), max_size=24)


def feed(population: Population, arrivals: list[tuple[int, int, float]], *, decide_each: bool) -> list[Decision]:
    """Let members advance in any order, also over numbers; a member that waits does not advance."""
    at = dict.fromkeys(range(4), 0)
    decisions: list[Decision] = []
    for number, stride, score in arrivals:
        if decide_each and f"m{number}" in population.waiting:
            continue
        if f"m{number}" in population.waiting:
            decisions += population.decide()
        at[number] += stride
        population.observe(f"m{number}", milestone=at[number], score=score, checkpoint=(number, at[number]))
        if decide_each:
            decisions += population.decide()
    return decisions + population.decide()


def by_clone(decisions: list[Decision]) -> list[tuple[str, str]]:
    return sorted((decision.clone, repr(decision.exploit)) for decision in decisions)


@settings(deadline=None, max_examples=60)
@given(ARRIVALS)
def test_how_often_it_is_asked_changes_no_decision(arrivals: list[tuple[int, int, float]]) -> None:
    often, seldom = population_of(4), population_of(4)
    assert by_clone(feed(often, arrivals, decide_each=True)) == by_clone(feed(seldom, arrivals, decide_each=False))


@settings(deadline=None, max_examples=60)
@given(ARRIVALS, st.booleans())
def test_an_exploit_is_always_sound(arrivals: list[tuple[int, int, float]], synchronous: bool) -> None:
    decisions = feed(population_of(4, synchronous=synchronous), arrivals, decide_each=True)
    generations = dict.fromkeys((f"m{number}" for number in range(4)), 0)
    for decision in decisions:
        if (takeover := decision.exploit) is None:
            continue
        generations[decision.clone] += 1
        assert takeover.generation == generations[decision.clone]
        assert takeover.donor != decision.clone
        assert math.isfinite(takeover.donor_score)
        assert math.isfinite(takeover.score) == (takeover.cause is ExploitCause.QUANTILE)
        assert takeover.checkpoint == (int(takeover.donor[1:]), takeover.donor_milestone)
        assert SPACE.contains({"lr": takeover.hyperparameters["lr"]})


@settings(deadline=None, max_examples=60)
@given(ARRIVALS, ARRIVALS, st.booleans())
def test_a_population_rebuilt_from_its_records_decides_the_same(
    before: list[tuple[int, int, float]], after: list[tuple[int, int, float]], synchronous: bool
) -> None:
    first = Recorded(synchronous)
    first.play(before)
    second = first.rebuilt()
    assert repr(first.play(after)) == repr(second.play(after))


@settings(deadline=None, max_examples=20)
@given(ARRIVALS, ARRIVALS, st.booleans())
def test_one_with_pb2_that_is_rebuilt_from_its_records_proposes_the_same(
    before: list[tuple[int, int, float]], after: list[tuple[int, int, float]], synchronous: bool
) -> None:
    first = Recorded(synchronous, explore="pb2", quantile_fraction=0.5, min_gap=0.0)
    first.play(before)
    second = first.rebuilt()
    assert repr(first.play(after)) == repr(second.play(after))


def in_their_first_milestones(population: Population) -> None:
    for milestone in (1, 2, 3):
        for number in range(6):
            population.recall(
                f"m{number}", milestone=milestone, score=2.0 * milestone + number, checkpoint="c", generation=0
            )


@pytest.mark.parametrize("synchronous", [False, True])
def test_with_pb2_losers_of_one_milestone_are_not_all_given_the_same_whoever_is_asked_first(
    synchronous: bool,
) -> None:
    """Decided together, or one after the other in another order since a driver has died."""

    def proposals(order: list[int], *, together: bool) -> dict[str, Any]:
        population = population_of(6, explore="pb2", synchronous=synchronous, quantile_fraction=0.4)
        in_their_first_milestones(population)
        for number in range(6):
            at_last = {"milestone": 4, "score": 50.0 if number > 2 else float(number), "checkpoint": "c"}
            population.recall(f"m{number}", generation=0, **at_last)
        found = {}
        for number in order:
            score = 50.0 if number > 2 else float(number)
            population.observe(f"m{number}", milestone=4, score=score, checkpoint="c")
            found |= {} if together else taken(population.decide())
        found |= taken(population.decide())
        return {key: one.hyperparameters["lr"] for key, one in found.items() if one is not None}

    usual = proposals([0, 1, 2, 3, 4, 5], together=True)
    assert len(usual) == 3
    assert len(set(usual.values())) > 1
    assert proposals([5, 2, 1, 0, 3, 4], together=False) == usual


def test_with_pb2_stretches_begin_with_the_weights_that_were_taken_over() -> None:
    population = population_of(2, explore="pb2")
    arrive(population, 1, [100.0, 10.0])
    arrive(population, 2, [120.0, 130.0])
    members = [population._members[key] for key in ("m0", "m1")]
    known = stretches(members, sign=1.0, is_known=lambda _: True)
    assert [(one.outset.score, one.gain) for one in known] == [(100.0, 20.0), (100.0, 30.0)]
    assert known[1].outset.hyperparameters == population.hyperparameters_of("m1")
    assert [one.gain for one in stretches(members, sign=-1.0, is_known=lambda _: True)] == [-20.0, -30.0]


class Recorded:
    """A population and the records of its arrivals and exploits; a restart knows nothing else."""

    def __init__(self, synchronous: bool, **rules: Any) -> None:
        self.synchronous = synchronous
        self.rules = rules
        self.population = population_of(4, synchronous=synchronous, **rules)
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.arrived = dict.fromkeys((f"m{number}" for number in range(4)), 0)

    def play(self, arrivals: list[tuple[int, int, float]]) -> list[Decision]:
        decisions: list[Decision] = []
        for number, stride, score in arrivals:
            key = f"m{number}"
            if key in self.population.waiting:
                continue
            self.arrived[key] += stride
            milestone = {"milestone": self.arrived[key], "score": score, "checkpoint": (number, self.arrived[key])}
            self.records.append((key, milestone | {"generation": self.population.generation_of(key)}))
            self.population.observe(key, **milestone)
            decisions += self.record(self.population.decide())
        return decisions

    def record(self, decisions: list[Decision]) -> list[Decision]:
        for decision in decisions:
            if (takeover := decision.exploit) is not None:
                exploit = {
                    "generation": takeover.generation,
                    "milestone": takeover.milestone,
                    "hyperparameters": takeover.hyperparameters,
                    "score": takeover.donor_score,
                }
                self.records.append((decision.clone, exploit))
        return decisions

    def rebuilt(self) -> Recorded:
        other = Recorded(self.synchronous, **self.rules)
        other.arrived, other.records = dict(self.arrived), list(self.records)
        for key, record in self.records:
            if "hyperparameters" in record:  # an exploit
                other.population.restore_exploit(key, **record)
            else:
                other.population.recall(key, **record)
        newest = {key: record for key, record in self.records if "checkpoint" in record}
        for key in sorted(self.population.waiting):  # they hold there still, and say so
            record = {name: value for name, value in newest[key].items() if name != "generation"}
            other.population.observe(key, **record)
        return other


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["arrive", "jump", "drop", "retire", "suspend"]))))
def test_a_synchronous_population_never_hangs(events: list[tuple[int, str]]) -> None:
    population = population_of(4, synchronous=True)
    active = {f"m{number}" for number in range(4)}
    at = dict.fromkeys(active, 0)
    for number, event in events:
        key = f"m{number}"
        if event in ("drop", "retire", "suspend"):
            getattr(population, event)(key)
            active.discard(key)
        elif key in active and key not in population.waiting:
            at[key] += 3 if event == "jump" else 1
            population.observe(key, milestone=at[key], score=1.0, checkpoint=None)
        population.decide()
        assert not active or not active <= population.waiting, "all wait for each other"


def test_what_was_not_measured_is_neither_compared_nor_replaced() -> None:
    population = population_of(2)
    population.observe("m0", milestone=1, score=9.0, checkpoint="m0@1")
    population.decide()
    population.observe("m1", milestone=1, score=math.nan, checkpoint="m1@1", is_measured=False)
    assert taken(population.decide()) == {"m1": None}


def test_nobody_takes_over_weights_that_are_worse_than_its_own_whatever_they_were_once() -> None:
    population = population_of(2)
    population.observe("m0", milestone=1, score=1.0, checkpoint="m0@1")
    population.decide()
    population.observe("m0", milestone=2, score=200.0, checkpoint="m0@2")
    population.decide()
    population.observe("m1", milestone=1, score=100.0, checkpoint="m1@1")
    population.decide()
    population.observe("m1", milestone=3, score=1.0, checkpoint="m1@3")
    population.decide()
    population.observe("m0", milestone=3, score=210.0, checkpoint="m0@3")
    assert taken(population.decide()) == {"m0": None}
