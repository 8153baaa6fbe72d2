from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from arena_ray.model.records import Exploit, Milestone, Run
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import Resources
from arena_ray.model.states import ExploitOutcome, RunState
from arena_ray.scheduling.execution_port import ExploitOrder, StudyRecord
from arena_ray.scheduling.in_place import InPlacePbt
from arena_ray.scheduling.population import Population, Rules

SPACE = SearchSpace.parse({"learning_rate": {"loguniform": [1e-4, 1e-2]}})
SCORES = {"a": 100.0, "b": 98.0, "c": 96.0, "d": 10.0}
"""All but the last are too near to each other to be told apart."""
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Crew:
    """Run actors that only keep the books, and slots of which some runs are short."""

    decided: list[tuple[str, int | None]] = field(default_factory=list)
    gave_way: list[str] = field(default_factory=list)
    short: set[str] = field(default_factory=set)

    def decide(self, run_id: str, order: ExploitOrder | None) -> None:
        self.decided.append((run_id, order.exploit.generation if order else None))

    def give_way(self, run_id: str) -> None:
        self.gave_way.append(run_id)
        self.short.add(run_id)

    def is_short_of(self, run_id: str) -> bool:
        return run_id in self.short


def run_of(member: int, **changes: Any) -> Run:
    name = "abcdefgh"[member]
    return Run(
        run_id=name,
        name=name,
        experiment_id="x",
        experiment="x",
        revision_id="r",
        revision=1,
        runner="cleanrl",
        script="ppo",
        env_id="CartPole-v1",
        seed=member,
        state=RunState.RUNNING,
        resources=Resources(),
        created_at=BEGIN,
        member=member,
        hyperparameters={"learning_rate": 1e-3, "gamma": 0.98},
        **changes,
    )


class World:
    """A population of four, its crew and what was committed."""

    def __init__(self, **rules: Any) -> None:
        self.rules = rules
        self.crew = Crew()
        self.committed: list[Exploit] = []
        self.milestones: list[Milestone] = []
        self.pbt = self.open()
        for member in range(4):
            self.pbt.add(run_of(member))

    def open(self) -> InPlacePbt:
        return InPlacePbt(
            self.crew,
            Population(Rules(mode="max", **self.rules), SPACE),
            tuned=SPACE.names,
            execution_id="e",
            commit=self.commit,
        )

    def commit(self, exploit: Exploit) -> ExploitOrder:
        self.committed.append(exploit.model_copy(update={"created_at": self.now()}))
        return ExploitOrder(exploit, None)

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=len(self.milestones) + len(self.committed) + 1)

    def arrive(self, run_id: str, number: int, score: float, *, generation: int = 0) -> bool:
        milestone = Milestone(
            run_id=run_id,
            number=number,
            generation=generation,
            boundary=number * 10,
            global_step=number * 1000,
            score=score,
            checkpoint_id=f"{run_id}{number}",
            created_at=self.now(),
        )
        self.milestones.append(milestone)
        return self.pbt.on_milestone(milestone)


@pytest.fixture
def world() -> World:
    return World()


def test_the_worst_takes_over_once_it_can_be_compared_and_the_decision_is_recorded_first(world: World) -> None:
    for name, score in SCORES.items():
        world.arrive(name, 1, score)
    assert world.crew.decided == [("a", None), ("b", None), ("c", None), ("d", 1)]
    [exploit] = world.committed
    assert (exploit.run_id, exploit.donor_run_id, exploit.donor_checkpoint_id) == ("d", "a", "a1")
    assert (exploit.milestone, exploit.boundary, exploit.generation) == (1, 10, 1)
    assert exploit.hyperparameters.keys() == {"learning_rate"}, "what is not tuned is not touched"


def test_who_waits_for_others_lets_one_run_that_is_behind_and_short_of_a_slot(world: World) -> None:
    world.crew.short = {"b", "c", "d"}
    assert world.arrive("a", 1, 100.0)
    assert (world.crew.gave_way, world.crew.decided) == (["a"], [])


def test_nobody_gives_way_to_a_run_that_is_as_far(world: World) -> None:
    world.crew.short = {"b", "c", "d"}
    world.arrive("a", 1, 100.0)
    world.crew.short = {"a", "c", "d"}
    world.arrive("b", 1, 90.0)
    assert world.crew.gave_way == ["a", "b"]
    world.crew.short = {"a", "b"}
    for name in ("c", "d"):
        assert not world.arrive(name, 1, 80.0)


def test_a_run_that_gave_way_is_let_go_on_when_it_is_back(world: World) -> None:
    world.crew.short = {"b"}
    world.arrive("a", 1, 100.0)
    world.crew.short = set()
    assert not world.arrive("a", 1, 100.0)
    assert world.crew.decided == [("a", None)]


def test_synchronously_all_wait_for_the_last_and_those_without_a_slot_leave() -> None:
    world = World(synchronous=True)
    world.crew.short = {"c", "d"}
    assert world.arrive("a", 1, 100.0)
    assert world.arrive("b", 1, 10.0)
    world.crew.short = set()
    assert not world.arrive("c", 1, 90.0)
    assert world.crew.decided == []
    world.arrive("d", 1, 80.0)
    assert world.crew.decided == [("c", None), ("d", None)]
    assert [exploit.run_id for exploit in world.committed] == ["b"], "it finds the order when it is back"


@pytest.mark.parametrize("end", [RunState.FAILED, RunState.STOPPED, RunState.COMPLETED])
def test_synchronously_nobody_waits_for_a_run_that_has_ended(end: RunState) -> None:
    world = World(synchronous=True)
    for name in "abc":
        world.arrive(name, 1, 50.0)
    assert world.crew.decided == []
    world.pbt.on_end("d", end)
    assert [name for name, _ in world.crew.decided] == ["a", "b", "c"]


def test_synchronously_nobody_waits_for_a_run_that_the_user_paused() -> None:
    world = World(synchronous=True)
    for name in "abc":
        world.arrive(name, 1, 50.0)
    world.pbt.on_pause("d")
    assert [name for name, _ in world.crew.decided] == ["a", "b", "c"]


def test_an_exploit_that_failed_does_not_change_what_the_run_is_judged_by(world: World) -> None:
    for name, score in SCORES.items():
        world.arrive(name, 1, score)
    for name, score in SCORES.items():
        world.arrive(name, 2, score)  # d is of generation 0 still
    assert [exploit.generation for exploit in world.committed] == [1, 2]
    assert world.committed[1].hyperparameters_before == {"learning_rate": 1e-3}


def test_a_new_driver_with_pb2_proposes_what_the_old_one_would_have() -> None:
    world = World(explore="pb2", min_gap=0.0)
    generations = dict.fromkeys(SCORES, 0)
    for number in range(1, 6):
        for at, name in enumerate(SCORES):
            world.arrive(name, number, number * 10.0 + 7.0 * ((at + number) % 4), generation=generations[name])
            generations |= {one.run_id: one.generation for one in world.committed}
    last = world.committed[-1]
    assert last.milestone == 5
    assert SPACE.contains(last.hyperparameters)
    before = [one.model_copy(update={"outcome": ExploitOutcome.APPLIED}) for one in world.committed[:-1]]
    history = [one for one in world.milestones if one.created_at < last.created_at]
    world.pbt = world.open()
    runs = tuple(run_of(member) for member in range(4))
    world.pbt.recall(StudyRecord(None, runs, tuple(history[:-1]), tuple(before)))  # type: ignore[arg-type]
    world.pbt.on_milestone(history[-1])
    assert len(world.committed) == len(before) + 2
    assert world.committed[-1].hyperparameters == last.hyperparameters


def test_a_new_driver_decides_as_the_old_one_would_have(world: World) -> None:
    for number in (1, 2):
        for name, score in SCORES.items():
            generation = 1 if name == "d" and number == 2 else 0
            world.arrive(name, number, score * number, generation=generation)
    history = world.milestones[:-1], [one for one in world.committed if one.milestone == 1]
    expected = [exploit for exploit in world.committed if exploit.milestone == 2]
    last, before = world.milestones[-1], len(world.committed)
    world.pbt = world.open()
    applied = tuple(one.model_copy(update={"outcome": ExploitOutcome.APPLIED}) for one in history[1])
    runs = tuple(run_of(member) for member in range(4))
    world.pbt.recall(StudyRecord(None, runs, tuple(history[0]), applied))  # type: ignore[arg-type]
    world.pbt.on_milestone(last)
    again = world.committed[before:]
    assert expected
    assert [one.model_dump(exclude={"created_at"}) for one in again] == [
        one.model_dump(exclude={"created_at"}) for one in expected
    ]


def test_a_run_that_gave_way_and_was_paused_waits_for_nobody_when_it_is_let_go_on() -> None:
    world = World(synchronous=True)
    world.crew.short = {"d"}
    assert world.arrive("a", 1, 100.0)
    assert world.pbt.progress_of("a")[0], "it waits for the others, without an actor"
    world.pbt.on_pause("a")
    world.crew.short = set()
    for name in "bcd":
        world.arrive(name, 1, 50.0)
    assert [name for name, _ in world.crew.decided] == ["b", "c", "d"]
    world.pbt.on_release("a")
    assert not world.pbt.progress_of("a")[0]
    assert not world.arrive("a", 1, 100.0)
    assert world.crew.decided[-1] == ("a", None)


def test_synchronously_a_run_that_goes_on_is_waited_for_again() -> None:
    world = World(synchronous=True)
    world.pbt.on_pause("a")
    for name in "bcd":
        world.arrive(name, 1, 50.0)
    world.pbt.on_release("a")
    for name in "bcd":
        world.arrive(name, 2, 50.0)
    assert [name for name, _ in world.crew.decided] == ["b", "c", "d"]
    world.arrive("a", 1, 50.0)
    world.arrive("a", 2, 50.0)
    assert [name for name, _ in world.crew.decided[3:]] == ["a", "a", "b", "c", "d"]
