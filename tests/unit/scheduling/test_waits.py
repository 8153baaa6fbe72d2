"""What a plugin waits for, also in a driver that has taken over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from unit.scheduling.studies import DRIVER, Orchestrator, execution

from arena_ray.model.errors import PluginMistake
from arena_ray.model.records import JournalEntry
from arena_ray.model.states import RunState
from arena_ray.scheduling.waits import open_wait

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """Waits that began a while ago, and a clock."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.runs = Orchestrator()
        self.runs.add_run("e", driver=DRIVER, member=0, hyperparameters={}, seed=1)

    def wait(self, *, seconds: float = 0.0, steps: int = 0, began_s: float = 0.0, answer: Any = None) -> Any:
        entry = JournalEntry(
            number=0,
            method="wait",
            arguments={"seconds": seconds, "steps": steps},
            answer=answer,
            created_at=NOW - timedelta(seconds=began_s),
        )
        return open_wait(entry, execution(), self.runs, DRIVER, now=NOW, clock=lambda: self.seconds)

    def is_over_at(self, wait: Any, seconds: float) -> bool:
        self.seconds = seconds
        return bool(wait.is_over())


@pytest.fixture
def world() -> World:
    return World()


def test_time_counts_from_when_the_wait_was_called_first(world: World) -> None:
    wait = world.wait(seconds=10.0, began_s=7.0)
    assert not world.is_over_at(wait, 2.9)
    assert world.is_over_at(wait, 3.1)


def test_steps_count_from_where_the_runs_stood_when_it_was_called_first(world: World) -> None:
    world.runs.move(0, RunState.RUNNING, global_step=40)
    wait = world.wait(steps=50, answer={"r0": 10})
    assert not world.is_over_at(wait, 1.0)
    world.runs.move(0, RunState.RUNNING, global_step=59)
    assert not world.is_over_at(wait, 2.0)
    world.runs.move(0, RunState.RUNNING, global_step=60)
    assert world.is_over_at(wait, 3.0)


def test_a_run_that_is_over_is_not_waited_for(world: World) -> None:
    world.runs.move(0, RunState.FAILED, global_step=40)
    assert world.is_over_at(world.wait(steps=50, answer={"r0": 10}), 1.0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [({"seconds": -1.0}, "below 0"), ({"steps": -1}, "below 0"), ({"steps": 5, "answer": {}}, "has started a run")],
)
def test_what_cannot_be_waited_for_is_refused(world: World, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(PluginMistake, match=message):
        world.wait(**keys)
