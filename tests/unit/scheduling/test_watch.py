"""A plugin that looks at runs while they train."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from host_kit import ThreadHost
from unit.scheduling.studies import DRIVER, Orchestrator, execution

from arena_ray.model.errors import NoMainLoop, StaleDriver
from arena_ray.model.states import ExecutionState, Scope
from arena_ray.scheduling.watch import MOST_FAILURES, STOP_GRACE_S, Watch


@dataclass
class Runs(Orchestrator):
    """Runs that only stand for others; what was asked of them."""

    paused: list[tuple[str, str]] = field(default_factory=list)
    has_main_loop: bool = True

    def pause_run(self, run_id: str, *, driver: str, reason: str) -> None:
        if not self.has_main_loop:
            raise NoMainLoop("line.py")
        self.paused.append((run_id, reason))


class Results:
    """Where results come by."""

    def __init__(self) -> None:
        self.watching: list[Callable[[str, Mapping[str, Any]], None]] = []

    def watch(self, see: Callable[[str, Mapping[str, Any]], None]) -> Callable[[], None]:
        self.watching.append(see)
        return lambda: self.watching.clear()

    def tell(self, run_id: str, step: int, **changes: Any) -> None:
        keys = {"name": run_id, "attempt": 1, "generation": 2, "episodic_return": 1.5, "steps_per_second": float("nan")}
        for see in self.watching:
            see(run_id, keys | {"global_step": step} | changes)


class World:
    """A watch that ticks."""

    def __init__(self, function: Callable[..., Any], **keys: Any) -> None:
        self.runs, self.results, self.hosts = Runs(), Results(), []

        def start() -> ThreadHost:
            self.hosts.append(ThreadHost(function, settings={"a": 1}))
            return self.hosts[-1]

        self.watch = Watch(
            execution(plugin="mine", scope=Scope.RUN),
            start,
            port=self.runs,
            engine=self.results,
            driver=DRIVER,
            **keys,
        )
        self.is_over = False

    def tick_until(self, condition: Callable[[], object], *, is_paused: bool = False) -> None:
        for _ in range(5000):
            self.is_over = self.is_over or self.watch.tick(is_paused=is_paused)
            if condition() or self.is_over:
                return
            time.sleep(0.001)
        raise AssertionError("it did not come true within five seconds")


@pytest.fixture
def world_of() -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(function: Callable[..., Any], **keys: Any) -> World:
        worlds.append(World(function, **keys))
        return worlds[-1]

    yield make
    for world in worlds:
        world.watch.close()


def test_the_function_is_told_of_the_run_and_how_it_stands(world_of) -> None:
    seen: list[Any] = []
    world = world_of(lambda context, api: seen.append(context))
    world.results.tell("r0", 40)
    world.tick_until(lambda: seen)
    [context] = seen
    assert (context.scope, context.target_id, context.generation, context.settings) == ("run", "r0", 2, {"a": 1})
    assert context.metadata["global_step"] == 40
    assert context.metadata["steps_per_second"] != context.metadata["steps_per_second"]


@pytest.mark.parametrize("said", ["stop", ("stop", "it is flat")])
def test_a_run_is_stopped_and_the_run_says_by_whom_and_why(world_of, said: Any) -> None:
    world = world_of(lambda context, api: said)
    world.results.tell("r0", 1)
    world.tick_until(lambda: world.runs.stopped)
    why = "" if said == "stop" else ": it is flat"
    assert world.runs.stopped == [("r0", f"stopped by plugin mine{why}")]


def test_a_run_is_paused_and_one_that_cannot_be_gets_a_note(world_of) -> None:
    world = world_of(lambda context, api: "pause")
    world.results.tell("r0", 1)
    world.tick_until(lambda: world.runs.paused)
    assert world.runs.paused == [("r0", "paused by plugin mine")]
    world.runs.has_main_loop = False
    world.results.tell("r1", 1)
    world.tick_until(lambda: world.runs.notes)
    [note] = world.runs.notes.values()
    assert note.startswith("⚠️ it was to be paused by plugin mine, but")


def test_nobody_waits_for_a_function_that_takes_its_time_and_it_sees_the_newest(world_of) -> None:
    seen, go_on = [], threading.Event()

    def slow(context: Any, api: Any) -> None:
        seen.append(context.metadata["global_step"])
        go_on.wait(5)

    world = world_of(slow)
    world.results.tell("r0", 1)
    world.tick_until(lambda: seen)
    for step in range(2, 100):
        world.results.tell("r0", step)
        world.watch.tick(is_paused=False)
    go_on.set()
    world.tick_until(lambda: len(seen) == 2)
    assert seen == [1, 99]


def test_a_function_that_hangs_loses_its_process_and_a_new_one_looks_on(world_of) -> None:
    seen: list[str] = []

    def hang(context: Any, api: Any) -> None:
        seen.append(context.target_id)
        if context.target_id == "r0":
            threading.Event().wait()

    world = world_of(hang, timeout_s=0.05)
    world.results.tell("r0", 1)
    world.tick_until(lambda: world.hosts[0].was_killed)
    [note] = world.runs.notes.values()
    assert "it took longer than 0.05 s to look" in note
    world.results.tell("r1", 1)
    world.tick_until(lambda: "r1" in seen)
    assert len(world.hosts) == 2


def test_a_hang_counts_once_and_not_against_the_run_that_comes_next(world_of) -> None:
    world = world_of(lambda context, api: threading.Event().wait(), timeout_s=0.02)
    for number in range(MOST_FAILURES):
        world.results.tell(f"r{number}", 1)
    world.tick_until(lambda: world.is_over)
    notes = list(world.runs.notes.values())
    assert len(notes) == MOST_FAILURES
    assert all("it took longer than 0.02 s to look" in note for note in notes), notes
    assert len(world.hosts) == MOST_FAILURES


def test_a_function_that_fails_again_and_again_is_not_asked_any_more(world_of) -> None:
    world = world_of(lambda context, api: 1 // 0)
    for number in range(MOST_FAILURES):
        assert not world.is_over
        world.results.tell(f"r{number}", number)
        world.tick_until(lambda number=number: len(world.runs.notes) > 0 and not world.watch._looking.is_busy)
    [(state, reason)] = world.runs.ended
    assert state is ExecutionState.FAILED
    assert "ZeroDivisionError" in reason
    assert world.results.watching == []
    assert world.runs.stopped == []


def test_what_is_none_of_the_three_words_is_told(world_of) -> None:
    world = world_of(lambda context, api: {"stop": True})
    world.results.tell("r0", 1)
    world.tick_until(lambda: world.runs.notes)
    [note] = world.runs.notes.values()
    assert "none of continue, stop and pause" in note


def test_notes_of_one_look_have_names_of_their_own_and_keys_count_once(world_of) -> None:
    def note(context: Any, api: Any) -> None:
        api.add_note("twice")
        api.add_note("once", key="k")

    world = world_of(note)
    for step in (1, 2):
        world.results.tell("r0", step)
        world.tick_until(lambda step=step: len(world.runs.notes) == step + 1)
    assert world.runs.notes == {"note r0@1.1.0": "twice", "k of r0": "once", "note r0@1.2.0": "twice"}


def test_a_paused_experiment_is_not_looked_at(world_of) -> None:
    seen: list[Any] = []
    world = world_of(lambda context, api: seen.append(1))
    world.results.tell("r0", 1)
    for _ in range(20):
        world.watch.tick(is_paused=True)
    world.tick_until(lambda: seen)
    assert seen == [1]


def test_a_driver_that_was_replaced_ends_the_tick(world_of) -> None:
    world = world_of(lambda context, api: api.add_note("late"))
    world.runs.driver = "another"
    world.results.tell("r0", 1)
    with pytest.raises(StaleDriver):
        world.tick_until(lambda: False)


def test_a_stopped_watch_ends_with_its_process(world_of) -> None:
    moment = [0.0]
    world = world_of(lambda context, api: threading.Event().wait(), clock=lambda: moment[0])
    world.results.tell("r0", 1)
    world.tick_until(lambda: world.watch._looking.is_busy)
    world.watch.stop()
    assert not world.watch.is_gone()
    moment[0] = STOP_GRACE_S
    for _ in range(1000):
        if world.watch.is_gone():
            break
        time.sleep(0.001)
    assert world.hosts[0].was_killed
    assert world.watch.is_gone()


def test_a_process_that_has_ended_is_started_again_only_when_there_is_something_to_look_at(world_of) -> None:
    seen: list[str] = []
    world = world_of(lambda context, api: seen.append(context.target_id))
    world.hosts[0].kill()
    for _ in range(50):
        world.watch.tick(is_paused=False)
        time.sleep(0.001)
    assert len(world.hosts) == 1
    world.results.tell("r0", 1)
    world.tick_until(lambda: seen)
    assert len(world.hosts) == 2
