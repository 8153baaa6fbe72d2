from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from arena_ray.model.errors import StaleDriver
from arena_ray.model.records import Execution
from arena_ray.model.spec import Resources
from arena_ray.model.states import RunState
from arena_ray.scheduling.driver import IDLE_S, ExperimentDriver
from arena_ray.scheduling.port import RunToDrive


@dataclass
class TrialTable:
    """An engine that only keeps the books: run -> pending, running, held."""

    trials: dict[str, str] = field(default_factory=dict)
    steps: int = 0

    def add(self, run_id: str, *, name: str, resources: Resources, scheduler=None, course=None) -> None:
        assert run_id not in self.trials, "a run was given two trials"
        self.trials[run_id] = "pending"

    def has(self, run_id: str) -> bool:
        return run_id in self.trials

    def is_waiting(self, run_id: str) -> bool:
        return self.trials[run_id] in ("pending", "held")

    def is_held(self, run_id: str) -> bool:
        return self.trials[run_id] == "held"

    def release(self, run_id: str) -> None:
        self.trials[run_id] = "pending"

    def remove(self, run_id: str) -> None:
        del self.trials[run_id]

    def runs(self) -> list[str]:
        return list(self.trials)

    @property
    def is_busy(self) -> bool:
        return any(state != "held" for state in self.trials.values())

    def step(self) -> None:
        self.steps += 1


class World:
    """The registry's side, a clock that moves when the driver sleeps, and the driver."""

    def __init__(self) -> None:
        self.now = 0.0
        self.claimant = "this driver"
        self.has_news = False
        self.wanted: list[RunToDrive] = []
        self.executions = self
        self.engine = TrialTable()
        self.driver = ExperimentDriver(
            "experiment", port=self, engine=self.engine, clock=lambda: self.now, news=self, token="this driver"
        )

    def is_set(self) -> bool:
        return self.has_news

    def clear(self) -> None:
        self.has_news = False

    def wait(self, timeout: float) -> bool:
        self.now += timeout
        return self.has_news

    def claim_experiment(self, experiment_id: str, *, driver: str) -> None:
        self.claimant = driver

    def runs_to_drive(self, experiment_id: str, *, driver: str) -> list[RunToDrive]:
        if driver != self.claimant:
            raise StaleDriver(experiment_id)
        return self.wanted

    def to_drive(self, experiment_id: str, *, driver: str) -> list[Execution]:
        return []

    def tick(self) -> None:
        self.now += 1.0
        self.driver.tick()


def wanted(state: RunState = RunState.QUEUED) -> list[RunToDrive]:
    return [RunToDrive("a", "run-a", state, Resources())]


@pytest.fixture
def world() -> World:
    return World()


def test_a_queued_run_gets_one_trial(world: World) -> None:
    world.wanted = wanted()
    world.tick()
    world.tick()
    assert world.engine.trials == {"a": "pending"}


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.STARTING, RunState.RUNNING])
def test_a_new_driver_takes_over_what_is_under_way(world: World, state: RunState) -> None:
    world.wanted = wanted(state)
    world.tick()
    assert world.engine.trials == {"a": "pending"}


def test_a_run_stopped_before_it_had_an_actor_loses_its_trial(world: World) -> None:
    world.wanted = wanted()
    world.tick()
    world.wanted = []
    world.tick()
    assert world.engine.trials == {}


def test_a_run_that_has_just_ended_keeps_its_trial_until_tune_has_its_result(world: World) -> None:
    world.wanted = wanted()
    world.tick()
    world.engine.trials["a"] = "running"
    world.wanted = []
    world.tick()
    assert world.engine.trials == {"a": "running"}


def test_a_paused_run_keeps_its_trial_and_goes_on_when_it_is_queued_again(world: World) -> None:
    world.engine.trials["a"] = "held"
    world.tick()
    assert world.engine.trials == {"a": "held"}
    world.wanted = wanted()
    world.tick()
    assert world.engine.trials == {"a": "pending"}


def test_nothing_is_stepped_while_all_is_paused(world: World) -> None:
    world.engine.trials["a"] = "held"
    world.tick()
    assert world.engine.steps == 0


def test_a_driver_whose_experiment_another_one_claims_ends(world: World) -> None:
    world.wanted = wanted()
    world.tick()
    world.claimant = "another driver"
    with pytest.raises(StaleDriver):
        world.tick()


def test_it_ends_when_nothing_has_been_left_to_do_for_a_while(world: World) -> None:
    world.driver.run()
    assert world.now >= IDLE_S


def test_news_are_looked_at_at_once() -> None:
    world = World()
    trains = RunToDrive("t", "t", RunState.RUNNING, Resources())
    world.wanted, world.engine.trials = [trains], {"t": "running"}
    world.driver.tick()
    world.wanted = [trains, RunToDrive("r", "r", RunState.QUEUED, Resources())]
    world.driver.tick()
    assert world.engine.trials == {"t": "running"}
    world.has_news = True
    world.driver.tick()
    assert world.engine.trials == {"t": "running", "r": "pending"}
    assert not world.has_news
