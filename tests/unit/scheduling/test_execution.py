"""A plugin's function at work in its thread, and what comes of it."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from host_kit import ThreadHost
from unit.scheduling.studies import DRIVER, SPACE, Engine, Orchestrator, execution

from arena_ray.model.errors import SpecError, StaleDriver
from arena_ray.model.states import ExecutionState, RunState
from arena_ray.plugin import PluginStopped
from arena_ray.scheduling import study_runs
from arena_ray.scheduling.execution import MOST_DEATHS, STOP_GRACE_S, ExecutionDriver


def tuning(context: Any, api: Any) -> Any:
    return api.tune(param_space=SPACE, num_samples=2)


class World:
    """One execution, whose driver ticks until it is over."""

    opened: ClassVar[list[ExecutionDriver]] = []

    def __init__(self, function: Callable[..., Any], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.orchestrator = Orchestrator()
        self.returned: list[Any] = []

        def work(context: Any, api: Any) -> None:
            self.returned.append(function(context, api))

        self.hosts: list[ThreadHost] = []

        def start() -> ThreadHost:
            self.hosts.append(ThreadHost(work, settings={"a": 1}))
            return self.hosts[-1]

        self.driver = ExecutionDriver(
            execution(plugin="mine"),
            start,
            port=self.orchestrator,
            engine=Engine(self.orchestrator),
            driver=DRIVER,
            clock=clock,
        )
        self.opened.append(self.driver)

    def tick_until(self, condition: Callable[[], object], *, is_paused: bool = False) -> None:
        for _ in range(1500):
            if self.driver.tick(is_paused=is_paused) or condition():
                return
            time.sleep(0.002)
        raise AssertionError("it did not come true within three seconds")

    def end_runs(self, state: RunState = RunState.COMPLETED) -> None:
        for member in list(self.orchestrator.runs):
            self.orchestrator.move(member, state, episodic_return=float(member))


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(study_runs, "LOOK_INTERVAL_S", 0.0)
    yield
    while World.opened:
        driver = World.opened.pop()
        driver.stop()
        driver.close()


def test_what_a_plugin_asks_for_is_trained_and_it_gets_the_result() -> None:
    world = World(tuning)
    world.tick_until(lambda: len(world.orchestrator.runs) == 2)
    assert world.driver.is_ready
    world.end_runs()
    world.tick_until(lambda: world.orchestrator.ended)
    assert world.returned[0].best_run_id == "r1"
    assert world.orchestrator.ended == [(ExecutionState.COMPLETED, None)]


def test_it_is_not_known_how_runs_are_driven_before_the_plugin_has_asked() -> None:
    asked = threading.Event()
    world = World(lambda context, api: (asked.wait(5), tuning(context, api)))
    world.driver.tick(is_paused=False)
    assert (world.driver.is_ready, world.driver.course, world.driver.scheduler) == (False, None, None)
    asked.set()
    world.tick_until(lambda: world.driver.is_ready)


def test_a_plugin_knows_where_it_is_at_work() -> None:
    world = World(lambda context, api: context)
    world.tick_until(lambda: world.orchestrator.ended)
    [context] = world.returned
    assert (context.plugin_name, context.experiment, context.settings) == ("mine", "x", {"a": 1})
    assert not context.should_stop


def test_a_plugin_that_raises_fails_its_execution_with_what_it_raised() -> None:
    world = World(lambda context, api: 1 // 0)
    world.tick_until(lambda: world.orchestrator.ended)
    [(state, reason)] = world.orchestrator.ended
    assert state is ExecutionState.FAILED
    where = r" \(test_execution\.py, line \d+\)"
    assert re.fullmatch("ZeroDivisionError: integer division or modulo by zero" + where, reason or "")


def test_a_plugin_that_exits_fails_its_execution_and_nothing_else() -> None:
    def leave(context: Any, api: Any) -> None:
        raise SystemExit(3)

    world = World(leave)
    world.tick_until(lambda: world.orchestrator.ended)
    [(state, reason)] = world.orchestrator.ended
    assert state is ExecutionState.FAILED
    assert (reason or "").startswith("SystemExit: 3 (test_execution.py, line ")


def test_a_second_study_is_refused() -> None:
    world = World(lambda context, api: (tuning(context, api), tuning(context, api)))
    world.tick_until(lambda: len(world.orchestrator.runs) == 2)
    world.end_runs()
    world.tick_until(lambda: world.orchestrator.ended)
    [(state, reason)] = world.orchestrator.ended
    assert state is ExecutionState.FAILED
    assert "a second time" in (reason or "")


def test_an_execution_whose_every_run_failed_has_failed() -> None:
    world = World(tuning)
    world.tick_until(lambda: len(world.orchestrator.runs) == 2)
    world.end_runs(RunState.FAILED)
    world.tick_until(lambda: world.orchestrator.ended)
    [(state, reason)] = world.orchestrator.ended
    assert state is ExecutionState.FAILED
    assert "AllRunsFailed: all 2 runs failed, the first of them: for no known reason" in (reason or "")


def test_what_the_registry_refuses_reaches_the_plugin() -> None:
    caught = []

    def careful(context: Any, api: Any) -> None:
        try:
            tuning(context, api)
        except SpecError as exc:
            caught.append(str(exc))

    world = World(careful)

    def refuse(*args: Any, **keys: Any) -> None:
        raise SpecError("learning_rate: no such flag")

    world.orchestrator.add_run = refuse  # type: ignore[method-assign]
    world.tick_until(lambda: world.orchestrator.ended)
    assert caught == ["learning_rate: no such flag"]
    assert world.orchestrator.ended == [(ExecutionState.COMPLETED, None)]


def test_a_paused_execution_makes_no_runs() -> None:
    world = World(tuning)
    world.tick_until(lambda: world.driver.is_ready, is_paused=True)
    world.driver.tick(is_paused=True)
    assert world.orchestrator.runs == {}
    world.tick_until(lambda: len(world.orchestrator.runs) == 2)


def test_the_function_of_a_stopped_execution_is_left_past_its_except() -> None:
    left = threading.Event()

    def stubborn(context: Any, api: Any) -> None:
        try:
            while True:
                try:
                    tuning(context, api)
                except Exception:  # noqa: BLE001 - as somebody's plugin may be written
                    continue
        finally:
            assert context.should_stop
            left.set()

    world = World(stubborn)
    world.tick_until(lambda: len(world.orchestrator.runs) == 2)
    world.driver.stop()
    assert left.wait(5)


def test_a_driver_that_was_replaced_ends_the_tick() -> None:
    world = World(tuning)
    world.orchestrator.driver = "another"
    with pytest.raises(StaleDriver):
        world.tick_until(lambda: False)


def train_one(context: Any, api: Any) -> Any:
    revision = api.create_revision_with_hyperparameters("Test", {"learning_rate": 0.1}, notes="a try")
    run = api.create_run({"width": 3}, "a run")
    ends = api.wait_for_completion([run])
    api.add_note(f"{run.get_reward():g}")
    return revision.name, ends, run.is_completed(), run.get_logs(2), api.db.runs.find_one()["run_id"]


def test_a_plugin_makes_a_revision_and_a_run_of_it_and_waits_for_its_end() -> None:
    world = World(train_one)
    world.tick_until(lambda: world.orchestrator.runs)
    assert (world.driver.is_ready, world.driver.scheduler, world.driver.course) == (True, None, None)
    world.end_runs()
    world.tick_until(lambda: world.orchestrator.ended)
    assert world.returned == [("Test", {"r0": "completed"}, True, ["line 0", "line 1"], "r0")]
    [order] = world.orchestrator.revisions
    assert (order.number, order.name, order.notes, order.parent_id) == (0, "Test", "a try", None)
    assert world.orchestrator.runs[0].hyperparameters == {"width": 3}
    assert world.orchestrator.notes == {"note 0": "0"}
    assert world.orchestrator.ended == [(ExecutionState.COMPLETED, None)]


def test_a_revision_comes_after_the_one_that_the_execution_made_before() -> None:
    def two(context: Any, api: Any) -> None:
        for name in ("first", "second"):
            api.create_revision_with_config_updates(name, {"a": {"b": 1}}, merge_strategy="shallow")

    world = World(two)
    world.tick_until(lambda: world.orchestrator.ended)
    assert [(each.number, each.parent_id, each.is_deep) for each in world.orchestrator.revisions] == [
        (0, None, False),
        (1, "v0", False),
    ]


def test_a_run_without_an_episode_has_no_return() -> None:
    world = World(lambda context, api: api.create_run().get_reward())
    world.tick_until(lambda: world.orchestrator.ended)
    assert math.isnan(world.returned[0])


def test_giving_up_on_a_run_is_told_though_the_function_does_not_look() -> None:
    world = World(lambda context, api: api.wait_for_completion([api.create_run()], timeout_minutes=0.001))
    world.tick_until(lambda: world.orchestrator.ended)
    [(state, reason)] = world.orchestrator.ended
    assert (state, reason) == (ExecutionState.COMPLETED, "gave up waiting for r0 after 0.001 min: it is queued")
    assert world.returned == [{"r0": "timed_out"}]
    assert world.orchestrator.notes == {"gave up on r0": f"⚠️ {reason}"}


def test_runs_that_failed_are_told_though_the_function_does_not_look() -> None:
    world = World(lambda context, api: api.wait_for_completion(api.create_run()))
    world.tick_until(lambda: world.orchestrator.runs)
    world.end_runs(RunState.FAILED)
    world.tick_until(lambda: world.orchestrator.ended)
    assert world.returned == [{"r0": "failed"}]
    assert world.orchestrator.ended == [(ExecutionState.COMPLETED, "1 of 1 runs failed: r0")]


def test_an_execution_either_tunes_or_starts_runs() -> None:
    world = World(lambda context, api: (api.create_run(), tuning(context, api)))
    world.tick_until(lambda: world.orchestrator.ended)
    [(state, reason)] = world.orchestrator.ended
    assert state is ExecutionState.FAILED
    assert "does one of the two" in (reason or "")


def test_what_all_runs_of_a_study_have_in_common_is_not_made_by_the_plugin() -> None:
    world = World(lambda context, api: (api.create_revision_with_hyperparameters("r", {}), tuning(context, api)))
    world.tick_until(lambda: world.orchestrator.ended)
    assert "stands in the experiment file" in (world.orchestrator.ended[0][1] or "")


@pytest.mark.parametrize("line", [b"{}\n", b"[1]\n", b"not json\n", b"[" * 200_000 + b"\n", b'{"type": "call"}\n'])
def test_a_process_that_speaks_nonsense_on_its_wire_hurts_nobody(line: bytes) -> None:
    def babble(context: Any, api: Any) -> None:
        context.connection._wire._socket.sendall(line)
        api.add_note("after it")

    world = World(babble)
    world.tick_until(lambda: world.orchestrator.ended)
    assert world.orchestrator.notes == {"note 0": "after it"}


@pytest.mark.parametrize(
    ("words", "state"),
    [({"outcome": "failed"}, ExecutionState.FAILED), ({"outcome": 5, "troubles": 7}, ExecutionState.COMPLETED)],
)
def test_last_words_of_any_form_end_the_execution(words: dict[str, Any], state: ExecutionState) -> None:
    world = World(lambda context, api: context.connection.tell("ended", **words))
    world.tick_until(lambda: world.orchestrator.ended)
    assert world.orchestrator.ended[0][0] is state


def test_a_plugin_that_says_it_was_stopped_and_was_not_has_failed() -> None:
    def pretend(context: Any, api: Any) -> None:
        raise PluginStopped

    world = World(pretend)
    world.tick_until(lambda: world.orchestrator.ended)
    assert world.orchestrator.ended[0][0] is ExecutionState.FAILED


def test_a_stopped_plugin_can_still_write_a_note_but_starts_nothing() -> None:
    caught: list[BaseException] = []

    def go_on(context: Any, api: Any) -> None:
        while not context.should_stop:
            time.sleep(0.002)
        for call in (api.create_run, lambda: api.wait(60), lambda: tuning(context, api)):
            try:
                call()
            except PluginStopped as exc:
                caught.append(exc)
        api.add_note("✅ Best: None")

    world = World(go_on)
    world.driver.tick(is_paused=False)
    world.driver.stop()
    world.tick_until(lambda: world.driver.is_gone())
    assert len(caught) == 3
    assert world.orchestrator.notes == {"note 0": "✅ Best: None"}
    assert world.orchestrator.runs == {}


def test_a_stopped_plugin_that_does_not_end_is_ended() -> None:
    moment = [0.0]
    world = World(lambda context, api: time.sleep(3600), clock=lambda: moment[0])
    world.driver.tick(is_paused=False)
    world.driver.stop()
    assert not world.driver.is_gone()
    moment[0] = STOP_GRACE_S
    world.tick_until(world.driver.is_gone)
    assert world.hosts[0].was_killed


def test_a_process_that_is_killed_again_and_again_at_one_place_has_failed() -> None:
    world = World(lambda context, api: time.sleep(3600))
    for deaths in range(1, MOST_DEATHS + 1):
        world.tick_until(lambda deaths=deaths: len(world.hosts) == deaths)
        world.hosts[-1].kill()
    world.tick_until(lambda: world.orchestrator.ended)
    [(state, reason)] = world.orchestrator.ended
    assert state is ExecutionState.FAILED
    assert "ended without a word: killed by SIGKILL" in (reason or "")


def test_a_process_that_is_killed_while_its_study_runs_gets_the_result_of_that_study() -> None:
    world = World(tuning)
    world.tick_until(lambda: len(world.orchestrator.runs) == 2)
    world.hosts[0].kill()
    world.tick_until(lambda: len(world.hosts) == 2)
    world.end_runs()
    world.tick_until(lambda: world.orchestrator.ended)
    assert [each.best_run_id for each in world.returned] == ["r1"]
    assert len(world.orchestrator.runs) == 2
    assert world.orchestrator.ended == [(ExecutionState.COMPLETED, None)]
