"""What a certificate says of the runs of a plugin execution."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from registry_kit import write_empty_registry

from arena_ray.model.certificate import Certificate
from arena_ray.model.records import JournalEntry
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import AttemptOutcome, ExecutionState, RunState
from arena_ray.registry.certificates import load_certificate
from arena_ray.registry.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOLD: dict[str, Any] = {"script": "ppo", "bundle": "b" * 64}


class World:
    """An execution of two rates with two seeds each."""

    def __init__(self, store: Store, experiment: str = "x") -> None:
        self.store = store
        self.spec = ExperimentSpec(experiment=experiment, runner="cleanrl", script="ppo", env_id="CartPole-v1")
        self.execution, _ = store.begin_execution(self.spec, plugin="p", settings={}, digest="d", flags={}, **TOLD)
        self.members = 0

    def train(self, rate: float, seed: int, *, state: RunState = RunState.COMPLETED, lost: int = 0) -> None:
        values = {"learning_rate": rate}
        spec = self.spec.model_copy(update={"hyperparameters": values, "seed": seed})
        seat = {"execution_id": self.execution.execution_id, "member": self.members}
        self.members += 1
        run, _ = self.store.submit(spec, flags=values, **TOLD, **seat)
        for number in range(1, lost + 2):
            self.store.begin_attempt(run.run_id, node="here", resumed_from=None)
            outcome = AttemptOutcome.LOST if number <= lost else AttemptOutcome(state.value)
            keys = {"boundary": 1, "global_step": 100, "episodic_return": rate * seed, "steps_per_second": math.nan}
            self.store.record_progress(run.run_id, attempt=number, **keys)
            self.store.end_attempt(run.run_id, attempt=number, outcome=outcome)
            self.store.move_run(run.run_id, RunState.QUEUED if number <= lost else state)
        keys = {"arguments": {}, "answer": {}, "created_at": NOW, "ended_at": NOW}
        entry = JournalEntry(number=self.members, method="start_run", **keys | {"arguments": {"member": self.members}})
        self.store.add_plugin_call(self.execution.execution_id, entry)

    def certificate(self, state: ExecutionState = ExecutionState.COMPLETED) -> Certificate:
        self.store.move_execution(self.execution.execution_id, state)
        return load_certificate(self.store, self.store.get_execution(self.execution.execution_id))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "registry.sqlite3"
    write_empty_registry(path)
    with Store.open(f"sqlite:///{path}") as store:
        yield store


@pytest.fixture
def world(store: Store) -> World:
    return World(store)


def test_each_cell_has_its_one_result_however_many_attempts_that_took(world: World) -> None:
    for rate, seed, lost in ((0.1, 1, 0), (0.1, 2, 2), (0.2, 1, 1)):
        world.train(rate, seed, lost=lost)
    found = world.certificate()
    assert (found.is_complete, found.expected) == (True, 3)
    cells = [(cell.hyperparameters["learning_rate"], cell.seed) for cell in found.cells]
    assert cells == [(0.1, 1), (0.1, 2), (0.2, 1)]
    assert [[len(run.attempts) for run in cell.runs] for cell in found.cells] == [[1], [3], [2]]
    assert all(cell.accepted == cell.runs[0].run_id for cell in found.cells)


def test_what_was_lost_on_the_way_does_not_change_the_digest_and_a_result_does(store: Store) -> None:
    digests = []
    for experiment, lost, rate in (("a", 0, 0.1), ("b", 3, 0.1), ("c", 0, 0.2)):
        world = World(store, experiment)
        world.train(rate, 1, lost=lost)
        digests.append(world.certificate().digest())
    assert digests[0] == digests[1] != digests[2]


def test_a_cell_without_a_result_is_named(world: World) -> None:
    world.train(0.1, 1)
    world.train(0.2, 1, state=RunState.FAILED)
    found = world.certificate()
    assert not found.is_complete
    assert [cell.accepted is None for cell in found.cells] == [False, True]
    [failed] = found.problems
    assert failed.endswith("is failed, not completed")


def test_of_a_cell_that_was_asked_for_twice_the_first_result_counts(world: World) -> None:
    for state in (RunState.FAILED, RunState.COMPLETED, RunState.COMPLETED):
        world.train(0.1, 1, state=state)
    found = world.certificate()
    assert (found.is_complete, found.expected) == (True, 3)
    [cell] = found.cells
    assert cell.accepted == cell.runs[1].run_id


def test_a_run_that_was_asked_for_and_is_not_there_is_missing(world: World) -> None:
    world.train(0.1, 1)
    lost = JournalEntry(number=9, method="start_run", arguments={}, answer={}, created_at=NOW, ended_at=NOW)
    world.store.add_plugin_call(world.execution.execution_id, lost)
    assert world.certificate().problems == ["2 runs were asked for, and there are 1"]


def test_an_execution_that_has_not_ended_well_is_not_complete(world: World) -> None:
    world.train(0.1, 1)
    [problem] = world.certificate(ExecutionState.STOPPED).problems
    assert problem == "the execution is stopped"
