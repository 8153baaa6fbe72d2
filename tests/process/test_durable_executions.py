"""Whatever dies at whatever call of a plugin: its execution ends as one that nothing happened to."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from host_kit import ThreadHost

from arena_ray.model.records import Run
from arena_ray.model.states import AttemptOutcome, ExecutionState, RunState
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.registry.certificates import load_certificate
from arena_ray.scheduling import waits
from arena_ray.scheduling.execution import ExecutionDriver

PLUGIN = {
    "name": "pbt",
    "settings": {"perturbation_interval": 1000, "param_space": {"learning_rate": {"loguniform": [1e-4, 1e-2]}}},
}


class Crash(Exception):
    """The process that carried out a call died."""


class FailingPort:
    """The orchestrator, but for one call that is not carried out, or whose answer is lost; ``None``: for none."""

    def __init__(self, core: Orchestrator, *, fails_at: int | None, is_carried_out: bool) -> None:
        self._core = core
        self._fails_at = fails_at
        self._is_carried_out = is_carried_out
        self.calls = 0

    @property
    def plugins(self) -> FailingPort:
        return self

    @property
    def executions(self) -> Any:
        return self._core.executions

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._core.plugins, name)
        return self._counted(method) if name in ("carry_out", "open_call", "end_call") else method

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keys: Any) -> Any:
            self.calls += 1
            fails = self.calls - 1 == self._fails_at
            if fails and not self._is_carried_out:
                raise Crash
            answer = method(*args, **keys)
            if fails:
                raise Crash
            return answer

        return call


class Engine:
    """Has no trials: the tests end the runs themselves."""

    def has(self, run_id: str) -> bool:
        return False

    def is_held(self, run_id: str) -> bool:
        return False


def sweep(context: Any, api: Any) -> None:
    """Do a little of all that an experiment's plugin can do, and decide by what it sees."""
    best, best_rate = -math.inf, None
    for rate in (1e-4, 1e-3):
        api.create_revision_with_hyperparameters(f"rate {rate}", {"learning_rate": rate})
        run = api.create_run(description=f"{rate}")
        assert api.wait_for_completion([run]) == {run.run_id: "completed"}
        api.add_note(f"{run.get_status()} with {run.get_reward():g}", "run")
        if run.get_reward() > best:
            best, best_rate = run.get_reward(), rate
    api.wait(seconds=0.01)
    mutated = api.mutate_config({"learning_rate": best_rate})
    api.create_revision("mutated", hyperparameters=mutated, notes=str(len(api.db.runs.find())))
    assert api.add_note("kept", key="kept")
    assert not api.add_note("kept", key="kept")
    api.add_note(f"✅ best {best_rate}: {best:g} of {len(api.get_experiment_data()['runs'])}", key="best")


class World:
    """An experiment whose plugin is carried out by one driver after the other."""

    def __init__(self, core: Orchestrator, submission_of: Callable[..., Any], function: Callable[..., Any]) -> None:
        self.core = core
        self.execution = core.start(submission_of(plugin=PLUGIN, flags={"total_timesteps": 5000})).execution
        self.function = function
        self.opened: list[ExecutionDriver] = []

    def drive(self, *, fails_at: int | None = None, is_carried_out: bool = False) -> int:
        """Carry the execution out to its end, or to the crash; return the number of calls that were made."""
        port = FailingPort(self.core, fails_at=fails_at, is_carried_out=is_carried_out)
        token = str(len(self.opened))
        self.core.claim_experiment(self.execution.experiment_id, driver=token)
        driver = ExecutionDriver(
            self.execution, lambda: ThreadHost(self.function), port=port, engine=Engine(), driver=token
        )
        self.opened.append(driver)
        while not driver.tick(is_paused=False):
            for run in self.core._store.list_runs(states=[RunState.QUEUED]):
                self._train(run)
            time.sleep(0.001)
        return port.calls

    def _train(self, run: Run) -> None:
        store = self.core._store
        store.begin_attempt(run.run_id, node="here", resumed_from=None)
        score = 100 * run.hyperparameters.get("learning_rate", 0.0)
        keys = {"boundary": 1, "global_step": 100, "episodic_return": score, "steps_per_second": math.nan}
        store.record_progress(run.run_id, attempt=1, **keys)
        store.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.COMPLETED)
        store.move_run(run.run_id, RunState.COMPLETED, attempt=1)

    def outcome(self) -> dict[str, Any]:
        """Return all that a user sees of the execution."""
        store, experiment_id = self.core._store, self.execution.experiment_id
        runs = {run.run_id: run for run in store.list_runs(experiment=experiment_id)}
        certificate = load_certificate(store, store.get_execution(self.execution.execution_id))
        return {
            "state": store.get_execution(self.execution.execution_id).state,
            "certificate": (certificate.problems, certificate.digest()),
            "runs": [(run.member, run.hyperparameters, run.seed, run.state) for run in runs.values()],
            "revisions": [
                (each.number, each.name, each.hyperparameters) for each in store.list_revisions(experiment_id)
            ],
            "notes": [
                (note.text, note.run_id and runs[note.run_id].member) for note in store.list_notes(experiment_id)
            ],
        }


@pytest.fixture
def world_of(
    open_core: Callable[..., Orchestrator], submission_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., World]]:
    monkeypatch.setattr(waits, "FIRST_PAUSE_S", 0.001)
    worlds: list[World] = []

    def make(function: Callable[..., Any], *, experiment: str = "x") -> World:
        core = worlds[0].core if worlds else open_core()

        def submit(**keys: Any) -> Any:
            return submission_of(experiment=experiment, **keys)

        worlds.append(World(core, submit, function))
        return worlds[-1]

    yield make
    for world in worlds:
        for driver in world.opened:
            driver.close()


def test_an_execution_survives_a_death_at_each_of_its_calls(world_of: Callable[..., World]) -> None:
    faultless = world_of(sweep)
    calls = faultless.drive()
    expected = faultless.outcome()
    assert (expected["state"], len(expected["runs"]), len(expected["notes"])) == (ExecutionState.COMPLETED, 2, 4)
    rate = expected["revisions"][-1][2]["learning_rate"]
    assert expected["certificate"][0] == []
    assert rate != 1e-3
    assert rate == pytest.approx(1e-3, rel=0.2)
    assert calls > 15
    for fails_at in range(calls):
        for is_carried_out in (False, True):
            world = world_of(sweep, experiment=f"{fails_at}-{is_carried_out}")
            world.function = _with_id_of(faultless, sweep)
            with suppress(Crash):
                world.drive(fails_at=fails_at, is_carried_out=is_carried_out)
                pytest.fail("nothing crashed")
            world.drive()
            assert world.outcome() == expected, (fails_at, is_carried_out)


def _with_id_of(world: World, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with an api that draws the random numbers of another world's execution."""

    def call(context: Any, api: Any) -> None:
        api._execution_id = world.execution.execution_id
        function(context, api)

    return call


def test_answers_are_those_of_the_first_time_though_the_world_has_changed(world_of: Callable[..., World]) -> None:
    seen: list[tuple[str, int]] = []

    def look(context: Any, api: Any) -> None:
        run = api.create_run()
        seen.append((run.get_status(), len(api.db.experiments.find())))
        api.add_note("looked")
        api.wait_for_completion(run)

    world = world_of(look)
    with suppress(Crash):
        world.drive(fails_at=4)
    world_of(sweep, experiment="another")
    world.drive()
    assert seen[0] == seen[1]
    assert seen[0][1] == 1
    assert world.outcome()["state"] is ExecutionState.COMPLETED


def test_a_function_that_calls_something_else_the_second_time_is_caught_there(world_of: Callable[..., World]) -> None:
    names = iter(["first", "second"])

    def fickle(context: Any, api: Any) -> None:
        try:
            api.create_revision_with_hyperparameters(next(names), {"learning_rate": 0.1})
        except Exception:  # noqa: BLE001 - as somebody's plugin may be written: it is ended all the same
            api.add_note("never mind")
        api.create_run()

    world = world_of(fickle)
    with suppress(Crash):
        world.drive(fails_at=1)
    world.drive()
    execution = world.core._store.get_execution(world.execution.execution_id)
    assert execution.state is ExecutionState.FAILED
    assert "call 0 of the plugin (test_durable_executions.py, line " in execution.reason
    assert "'name': 'second'" in execution.reason
    assert "'name': 'first'" in execution.reason
    assert world.outcome()["notes"] == []


def test_equal_looks_one_after_the_other_are_one_entry_of_the_journal(world_of: Callable[..., World]) -> None:
    def poll(context: Any, api: Any) -> None:
        run = api.create_run()
        for _ in range(50):
            run.get_status()
        api.add_note("done")

    world = world_of(poll)
    world.drive()
    journal = world.core._store.list_plugin_calls(world.execution.execution_id)
    assert sum(entry.repeats + 1 for entry in journal) == 52
    assert len(journal) <= 6  # it was queued, and at the latest then completed


def test_a_wait_goes_on_where_the_driver_died(world_of: Callable[..., World]) -> None:
    world = world_of(lambda context, api: api.wait(seconds=0.3))
    begun = time.monotonic()
    with suppress(Crash):
        world.drive(fails_at=0, is_carried_out=True)
    time.sleep(0.3)
    again = time.monotonic()
    world.drive()
    assert time.monotonic() - begun >= 0.3
    assert time.monotonic() - again < 0.3


def test_steps_are_waited_for_from_where_the_runs_stood(world_of: Callable[..., World]) -> None:
    def wait(context: Any, api: Any) -> None:
        run = api.create_run()
        api.wait(steps=50)
        api.add_note(run.get_status())

    world = world_of(wait)
    world.drive()
    assert world.outcome()["notes"] == [("completed", None)]


def test_the_api_belongs_to_the_thread_of_the_function(world_of: Callable[..., World]) -> None:
    caught: list[Exception] = []

    def elsewhere(context: Any, api: Any) -> None:
        def work() -> None:
            try:
                api.add_note("from a thread")
            except RuntimeError as exc:
                caught.append(exc)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    world = world_of(elsewhere)
    world.drive()
    assert "another thread" in str(caught[0])
    assert world.outcome()["notes"] == []
