"""The calls of plugins as the orchestrator carries them out."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from unit.orchestrator.test_plugin_orders import World

from arena_ray.model.events import Batch, TrainingStep
from arena_ray.model.states import RunState
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.orchestrator.plugin_looks import evenly


@pytest.fixture
def world(core: Orchestrator, submission_of) -> World:
    return World(core, submission_of)


def begin(world: World) -> str:
    run_id = world.call("start_run", member=0).answer["run_id"]
    world.core.begin_attempt(run_id, node="here", resumed_from=None, token="t")
    return run_id


def log(world: World, run_id: str, *values: float, first_seq: int = 0) -> None:
    events = [
        TrainingStep(boundary=at, global_step=at * 10, wall_time=float(at), scalars={"loss": value})
        for at, value in enumerate(values, start=first_seq)
    ]
    keys = {"run_id": run_id, "attempt": 1, "boundary": 1, "global_step": 10, "steps_per_second": 1.0}
    world.core.report(Batch(first_seq=first_seq, events=tuple(events), **keys))


def test_a_call_is_written_down_with_its_answer_or_with_what_was_raised(world: World) -> None:
    world.call("status", place=0, run_id="nobody")
    world.call("find_one", place=1, kind="experiments", query={"name": "x"})
    first, second = world.core.plugins.journal(world.execution.execution_id)
    assert (first.error["kind"], first.answer) == ("NotFound", None)
    assert second.answer["name"] == "x"


def test_what_cannot_be_carried_out_is_the_plugin_s_mistake(world: World) -> None:
    assert "there is no call 'dance'" in world.call("dance").error["message"]
    assert "cannot be carried out" in world.call("status", dances=True).error["message"]


def test_a_plugin_gets_the_metrics_of_a_run(world: World) -> None:
    run_id = begin(world)
    log(world, run_id, 3.0, math.nan, 1.0)
    answer = world.call("metrics", run_id=run_id, names=["loss", "nothing"], max_points=2).answer
    assert answer["scalars"] == {"loss": [[0, 3.0, 0.0], [20, 1.0, 2.0]], "nothing": []}
    assert answer["latest"] == {"loss": 1.0, "nothing": "NaN"}
    assert answer["summary"]["loss"] == {"min": "NaN", "max": "NaN", "mean": "NaN", "latest": 1.0, "count": 3}
    log(world, run_id, 3.0, 5.0, 1.0, first_seq=3)
    assert world.call("reward", run_id=run_id, metric="loss").answer == 1.0


@pytest.mark.parametrize(("count", "most"), [(10, 3), (10, 10), (2, 5), (1000, 7), (0, 1)])
def test_points_are_chosen_evenly_and_the_newest_is_among_them(count: int, most: int) -> None:
    points = [(step, 0.0, 0.0) for step in range(count)]
    chosen = evenly(points, most)
    assert len(chosen) == min(count, most)
    assert chosen[-1:] == points[-1:]
    gaps = {after[0] - before[0] for before, after in pairwise(chosen)}
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_a_run_without_a_return_gets_one_note_however_often_it_is_asked(world: World) -> None:
    run_id = begin(world)
    assert [world.call("reward", run_id=run_id, metric="episodic_return").answer for _ in range(2)] == ["NaN", "NaN"]
    [note] = world.call("experiment_data").answer["notes"]
    assert (note["run_id"], "has no return: no episode has ended in it" in note["text"]) == (run_id, True)


def test_a_plugin_stops_a_run_of_its_experiment_and_no_other(world: World, submission_of) -> None:
    run_id = world.call("start_run", member=0).answer["run_id"]
    other = world.core.start(submission_of(experiment="y")).run
    assert "in experiment x" in world.call("stop_run", run_id=other.run_id, reason="").error["message"]
    world.call("stop_run", run_id=run_id, reason="it is flat")
    world.call("stop_run", run_id=run_id, reason="it is flat")
    run = world.core._store.require_run(run_id)
    assert (run.state, run.reason) == (RunState.STOPPED, "stopped by plugin pbt: it is flat")
    assert world.core._store.require_run(other.run_id).state is RunState.QUEUED


def test_a_note_may_be_on_a_revision(world: World) -> None:
    revision_id = world.call("add_revision", number=0, name="r").answer["revision_id"]
    world.call("add_note", call="note 0", text="well", revision_id=revision_id)
    assert world.call("add_note", call="note 1", text="well", revision_id="nobody-s").error["kind"] == "NotFound"
    [note] = world.call("experiment_data").answer["notes"]
    assert note["revision_id"] == revision_id


def test_a_call_that_is_repeated_is_answered_as_the_first_time(world: World) -> None:
    run_id = world.call("start_run", place=0, member=0).answer["run_id"]
    first = world.call("status", place=1, run_id=run_id)
    world.core.begin_attempt(run_id, node="here", resumed_from=None, token="t")
    again = world.call("status", place=1, run_id=run_id)
    assert (first.answer, again.answer) == ("queued", "queued")
    assert world.call("status", place=2, run_id=run_id).answer == "starting"


def test_a_call_that_has_no_place_in_the_journal_is_not_covered_by_its_neighbours(world: World) -> None:
    run_id = world.call("start_run", place=0, member=0).answer["run_id"]
    for place in (1, 3):  # the second was refused
        world.call("status", place=place, run_id=run_id)
    journal = world.core.plugins.journal(world.execution.execution_id)
    assert [(entry.number, entry.repeats) for entry in journal] == [(0, 0), (1, 0), (3, 0)]
