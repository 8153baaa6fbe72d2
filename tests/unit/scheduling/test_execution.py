"""A plugin's function at work in its thread, and what comes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from unit.scheduling.studies import DRIVER, SPACE, Engine, Orchestrator, execution

from arena_ray.model.errors import SpecError, StaleDriver
from arena_ray.model.states import ExecutionState, RunState
from arena_ray.plugin.discovery import load_plugins
from arena_ray.plugin.registration import Plugin
from arena_ray.scheduling import study_runs
from arena_ray.scheduling.execution import ExecutionDriver, open_execution


def tuning(context: Any, api: Any) -> Any:
    return api.tune(param_space=SPACE, num_samples=2)


class World:
    """One execution, whose driver ticks until it is over."""

    opened: ClassVar[list[ExecutionDriver]] = []

    def __init__(self, function: Callable[..., Any]) -> None:
        self.orchestrator = Orchestrator()
        self.returned: list[Any] = []
        known = load_plugins().require("pbt")

        def work(context: Any, api: Any) -> None:
            self.returned.append(function(context, api))

        plugin = Plugin(**{**vars(known), "name": "mine", "function": work})
        self.driver = ExecutionDriver(
            execution(),
            plugin,
            settings={"a": 1},
            port=self.orchestrator,
            engine=Engine(self.orchestrator),
            driver=DRIVER,
        )

        self.opened.append(self.driver)

    def tick_until(self, condition: Callable[[], object], *, is_paused: bool = False) -> None:
        for _ in range(500):
            if self.driver.tick(is_paused=is_paused) or condition():
                return
            time.sleep(0.002)
        raise AssertionError("it did not come true within a second")

    def end_runs(self, state: RunState = RunState.COMPLETED) -> None:
        for member in list(self.orchestrator.runs):
            self.orchestrator.move(member, state, episodic_return=float(member))


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(study_runs, "LOOK_INTERVAL_S", 0.0)
    yield
    while World.opened:
        World.opened.pop().stop()


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
    assert world.orchestrator.ended == [
        (ExecutionState.FAILED, "ZeroDivisionError: integer division or modulo by zero")
    ]


def test_a_plugin_that_exits_fails_its_execution_and_nothing_else() -> None:
    def leave(context: Any, api: Any) -> None:
        raise SystemExit(3)

    world = World(leave)
    world.tick_until(lambda: world.orchestrator.ended)
    assert world.orchestrator.ended == [(ExecutionState.FAILED, "SystemExit: 3")]


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
    assert (state, reason) == (
        ExecutionState.FAILED,
        "AllRunsFailed: all 2 runs failed, the first of them: for no known reason",
    )


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


def test_an_execution_whose_plugin_is_not_installed_here_cannot_be_opened() -> None:
    with pytest.raises(SpecError, match="nobody-s"):
        open_execution(execution(plugin="nobody-s"), None, None, DRIVER)  # type: ignore[arg-type]


def test_an_execution_whose_settings_the_plugin_does_not_take_any_more_cannot_be_opened() -> None:
    with pytest.raises(SpecError, match="population"):
        open_execution(execution(plugin="pbt", settings={"population": "many"}), None, None, DRIVER)  # type: ignore[arg-type]
