"""Plugins dropped into a workspace, on real Ray: the reference's own, hostile ones, and those that are killed."""

from __future__ import annotations

import shutil
from pathlib import Path
from textwrap import dedent

import psutil
import pytest
from cluster_kit import Arena
from docs.pages import page
from hurry import Hurry
from waiting import PATIENCE_S, wait_until

from arena_ray.model.errors import SpecError
from arena_ray.model.records import Execution, Revision, Run
from arena_ray.model.states import ExecutionState, RunState, Scope
from arena_ray.plugin.catalog import Catalog

pytestmark = pytest.mark.ray
REFERENCE = Path(__file__).parents[1] / "data" / "plugins"
LEARNING = {
    "total_timesteps": 12_000,
    "learning_starts": 500,
    "train_frequency": 4,
    "target_network_frequency": 250,
    "exploration_fraction": 0.3,
}
COUNTING = {"total_timesteps": 30, "sleep_s": 0.005}
HEAD = "import os, sys, threading, time\nfrom .core import register_plugin\n"


def drop(arena: Arena, name: str, body: str) -> Path:
    """Drop a plugin of this name, whose function's body this is."""
    arena.workspace.plugins.mkdir(exist_ok=True)
    mark = f'@register_plugin(name="{name}", scope="experiment", description="a test")\ndef work(context, api):\n'
    lines = [f"    {line}\n" for line in dedent(body).strip().splitlines()]
    path = arena.workspace.plugins / f"{name}_plugin.py"
    path.write_text(HEAD + mark + "".join(lines))
    return path


def drop_reference(arena: Arena, file: str) -> None:
    """Drop one of the reference document's plugins."""
    arena.workspace.plugins.mkdir(exist_ok=True)
    shutil.copy(REFERENCE / file, arena.workspace.plugins)


def start(arena: Arena, plugin: str, script: str = "counter.py", **keys: object) -> str:
    settings = keys.pop("settings", {})
    flags = keys.pop("flags", COUNTING)
    return arena.start_plugin(script, plugin={"name": plugin, "settings": settings}, flags=flags, **keys)


def end_of(arena: Arena, experiment: str, *, timeout_s: float = PATIENCE_S) -> Execution:
    def find() -> Execution | None:
        [execution] = arena.client.executions(experiment)
        return execution if execution.state.is_final else None

    return wait_until(find, timeout_s=timeout_s, what=f"the end of {experiment}")


def texts(arena: Arena, experiment: str) -> list[str]:
    return [note.text for note in arena.client.notes(experiment)]


def host_of(arena: Arena, experiment: str) -> psutil.Process:
    """Return the process in which the experiment's plugin runs."""
    [execution] = arena.client.executions(experiment)
    log = str(arena.workspace.executions / f"{execution.execution_id}.log")

    def find() -> psutil.Process | None:
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if words[-2:-1] == ["arena_ray.host"] and "guard.py" not in " ".join(words):
                outputs = {Path(f"/proc/{process.pid}/fd/1").resolve()}
                if Path(log).resolve() in outputs:
                    return process
        return None

    return wait_until(find, what=f"the plugin's process of {experiment}")


def test_the_quick_start_of_the_reference_runs_as_it_stands(arena: Arena) -> None:
    drop_reference(arena, "my_plugin.py")
    experiment = start(arena, "my_plugin", "dqn", flags=LEARNING)
    execution = end_of(arena, experiment)
    assert (execution.state, execution.reason) == (ExecutionState.COMPLETED, None)
    base, tested, optimized = arena.client.revisions(experiment)
    [run] = arena.client.runs(experiment)
    assert (tested.name, tested.notes, tested.parent_id) == ("Test-Config", "Testing hyperparameters", base.revision_id)
    assert tested.hyperparameters == {"learning_rate": 0.001, "batch_size": 64}
    assert (run.revision_id, run.description, run.state) == (tested.revision_id, tested.notes, RunState.COMPLETED)
    assert run.episodic_return > 100
    assert (optimized.name, optimized.notes) == ("Auto-Optimized", f"Reward: {run.episodic_return}")
    assert arena.client.metrics(run.run_id, "charts/episodic_return")[0].points[-1][1] > 0


def test_the_first_plugin_of_the_page_runs(arena: Arena) -> None:
    example = page("how-to/add-a-plugin.md").examples("python")[0].text
    assert len(example.splitlines()) <= 8
    arena.workspace.plugins.mkdir(exist_ok=True)
    (arena.workspace.plugins / "two_rates_plugin.py").write_text(example)
    experiment = start(arena, "two_rates", "line.py", flags={"total_timesteps": 50})
    assert end_of(arena, experiment).state is ExecutionState.COMPLETED
    assert [run.hyperparameters for run in arena.client.runs(experiment)] == [
        {"learning_rate": 0.0003},
        {"learning_rate": 0.001},
    ]


def check_sweep(arena: Arena, experiment: str, rates: list[float], sizes: list[int]) -> None:
    runs = arena.client.runs(experiment)
    by_id: dict[str, Revision] = {each.revision_id: each for each in arena.client.revisions(experiment)}
    grid = [(rate, size) for rate in rates for size in sizes]
    assert [by_id[run.revision_id].name for run in runs] == [f"Sweep_LR{rate}_BS{size}" for rate, size in grid]
    for run, (rate, size) in zip(runs, grid, strict=True):
        assert run.state is RunState.COMPLETED
        assert run.hyperparameters == {"learning_rate": rate, "batch_size": size}
    best: list[Run] = []
    for run in runs:
        if not best or run.episodic_return > best[-1].episodic_return:
            best.append(run)
    names = [each.name for each in by_id.values() if each.name and each.name.startswith("Best_")]
    assert names == [str(by_id[run.revision_id].name).replace("Sweep_", "Best_") for run in best]
    winner = best[-1]
    assert texts(arena, experiment) == [f"✅ Best: {winner.hyperparameters} (reward={winner.episodic_return:.2f})"]


def test_the_sweeper_of_the_reference_runs_as_it_stands(arena: Arena) -> None:
    drop_reference(arena, "sweeper_plugin.py")
    settings = {"learning_rates": [0.0003, 0.001], "batch_sizes": [32]}
    flags = {"total_timesteps": 1500, "learning_starts": 500}
    experiment = start(arena, "sweeper", "dqn", flags=flags, settings=settings)
    assert end_of(arena, experiment).state is ExecutionState.COMPLETED
    check_sweep(arena, experiment, [0.0003, 0.001], [32])


@pytest.mark.slow
def test_the_sweeper_of_the_reference_takes_its_whole_grid_by_default(arena: Arena) -> None:
    drop_reference(arena, "sweeper_plugin.py")
    experiment = start(arena, "sweeper", "dqn", flags=LEARNING)
    assert end_of(arena, experiment, timeout_s=600).state is ExecutionState.COMPLETED
    check_sweep(arena, experiment, [0.0001, 0.0003, 0.001], [16, 32, 64])


def test_a_file_is_a_plugin_without_a_restart_and_none_once_it_is_deleted(arena: Arena) -> None:
    path = drop(arena, "passing", "api.add_note('passed by')")
    experiment = start(arena, "passing")
    assert end_of(arena, experiment).state is ExecutionState.COMPLETED
    assert texts(arena, experiment) == ["passed by"]
    path.unlink()
    with pytest.raises(SpecError, match="no plugin 'passing'"):
        start(arena, "passing")


HOSTILE = {
    "exits": ("sys.exit(3)", ExecutionState.FAILED, "SystemExit: 3 (exits_plugin.py, line 5)"),
    "leaves": ("os._exit(4)", ExecutionState.FAILED, "the plugin's process ended without a word: exit code 4"),
    "imports": ("import nothing_of_this_name", ExecutionState.FAILED, "No module named 'nothing_of_this_name'"),
    "patches": (
        """
        import arena_ray.model.states as states, socket
        states.RunState = None
        socket.socket = None
        time.sleep = lambda seconds: 1 / 0
        raise RuntimeError("all is patched")
        """,
        ExecutionState.FAILED,
        "RuntimeError: all is patched",
    ),
    "threads": (
        """
        def fall():
            raise ValueError("in a thread")
        thread = threading.Thread(target=fall)
        thread.start()
        thread.join()
        threading.Thread(target=time.sleep, args=(3600,)).start()
        """,
        ExecutionState.COMPLETED,
        None,
    ),
    "loops": ("while True: pass", ExecutionState.STOPPED, "stopped by the user"),
}


def test_hostile_plugins_end_themselves_only_and_it_is_told_how(arena: Arena) -> None:
    for name, (body, _, _) in HOSTILE.items():
        drop(arena, name, body)
    (arena.workspace.plugins / "hangs_plugin.py").write_text("import time\ntime.sleep(3600)\n")
    described = {each.name: each.problem for each in Catalog([arena.workspace.plugins], timeout_s=3.0).describe()}
    assert "fell silent" in (described["hangs_plugin"] or "")
    (arena.workspace.plugins / "hangs_plugin.py").unlink()
    bystander = arena.start(flags={"total_timesteps": 200, "sleep_s": 0.01})
    experiments = {name: start(arena, name) for name in HOSTILE}
    looping = host_of(arena, experiments["loops"])
    arena.client.stop_experiment(experiments["loops"])
    for name, (_, state, reason) in HOSTILE.items():
        execution = end_of(arena, experiments[name])
        assert execution.state is state, name
        assert (reason or "") in (execution.reason or ""), name
    wait_until(lambda: not looping.is_running(), what="the end of a loop that was stopped")
    assert arena.complete(bystander).attempt == 1
    for name in HOSTILE:
        (arena.workspace.plugins / f"{name}_plugin.py").unlink()


def test_a_plugin_stopped_in_its_loop_is_stopped_whatever_it_posts(arena: Arena) -> None:
    body = """
    try:
        while not context.should_stop:
            api.wait_for_completion([api.create_run()])
    except BaseException:
        pass
    api.add_note("✅ Best: None")
    """
    drop(arena, "stubborn", body)
    experiment = start(arena, "stubborn", flags={"total_timesteps": 100_000, "sleep_s": 0.01})
    run = wait_until(lambda: arena.client.runs(experiment), what="a run")[0]
    arena.wait_for_step(run, 20)
    arena.client.stop_experiment(experiment)
    wait_until(lambda: texts(arena, experiment), what="the note")
    execution = end_of(arena, experiment)
    assert (execution.state, execution.reason) == (ExecutionState.STOPPED, "stopped by the user")
    assert texts(arena, experiment) == ["✅ Best: None"]
    arena.wait_for(run, RunState.STOPPED)
    assert len(arena.client.runs(experiment)) == 1


def test_a_plugin_whose_driver_is_killed_goes_on_and_repeats_nothing(arena: Arena) -> None:
    body = """
    for number in range(2):
        api.create_revision_with_hyperparameters(f"number {number}", {})
        run = api.create_run(description=str(number))
        api.add_note(f"began {number}")
        api.wait_for_completion([run])
        api.add_note(f"ended {number}")
    """
    drop(arena, "steady", body)
    hurry = Hurry(arena.workspace.home)
    experiment = start(arena, "steady", flags=hurry.flags())
    first = wait_until(lambda: arena.client.runs(experiment), what="a run")[0]
    arena.wait_for_step(first, 5)
    host = host_of(arena, experiment)
    arena.kill_services("DriverActor")
    hurry.now()
    wait_until(lambda: not host.is_running(), what="the end of the plugin's process")
    assert end_of(arena, experiment).state is ExecutionState.COMPLETED
    assert texts(arena, experiment) == ["began 0", "ended 0", "began 1", "ended 1"]
    assert [run.description for run in arena.client.runs(experiment)] == ["0", "1"]
    assert [each.name for each in arena.client.revisions(experiment)] == [None, "number 0", "number 1"]


def test_a_plugin_s_process_that_is_killed_is_replaced_and_repeats_nothing(arena: Arena) -> None:
    drop(arena, "victim", "api.add_note(api.wait_for_completion(api.create_run()))")
    hurry = Hurry(arena.workspace.home)
    experiment = start(arena, "victim", flags=hurry.flags())
    run = wait_until(lambda: arena.client.runs(experiment), what="a run")[0]
    arena.wait_for_step(run, 5)
    for _ in range(2):
        host = host_of(arena, experiment)
        host.kill()
        wait_until(lambda host=host: not host.is_running(), what="the end of the plugin's process")
    host_of(arena, experiment)
    hurry.now()
    assert end_of(arena, experiment).state is ExecutionState.COMPLETED
    assert texts(arena, experiment) == [f"{{'{run.run_id}': 'completed'}}"]
    assert [each.run_id for each in arena.client.runs(experiment)] == [run.run_id]


def test_a_plugin_with_scope_run_stops_one_run_and_pauses_another(arena: Arena) -> None:
    body = """
    limit = context.settings["limit"]
    run = api.get_run(context.target_id)
    if context.metadata["global_step"] < limit:
        return "continue"
    api.add_note("far enough", key="far")
    return ("stop" if run.seed == 1 else "pause", f"beyond {limit}")
    """
    path = drop(arena, "limit", body)
    schema = 'settings_schema={"limit": {"type": "int", "default": 10}}'
    path.write_text(path.read_text().replace('scope="experiment"', f'scope="run", {schema}'))
    flags, watching = {"total_timesteps": 100_000, "sleep_s": 0.01}, [{"name": "limit", "settings": {"limit": 20}}]
    first = arena.start(flags=flags, run_plugins=watching)
    second = arena.start(flags=flags, seed=2, experiment=first.experiment, run_plugins=watching)
    stopped, paused = arena.wait_for(first, RunState.STOPPED), arena.wait_for(second, RunState.PAUSED)
    assert stopped.reason == "stopped by plugin limit: beyond 20"
    assert paused.reason == "paused by plugin limit: beyond 20"
    [execution] = arena.client.executions(first.experiment)
    assert (execution.scope, execution.state) == (Scope.RUN, ExecutionState.RUNNING)
    assert sorted(note.run_id for note in arena.client.notes(first.experiment)) == sorted([first.run_id, second.run_id])
    arena.client.stop_run(second.run_id)
    assert end_of(arena, first.experiment).state is ExecutionState.COMPLETED


def test_a_plugin_with_scope_revision_refuses_what_it_does_not_like(arena: Arena) -> None:
    path = drop(arena, "brave", 'return "too long" if context.metadata["flags"]["total_timesteps"] > 50 else None')
    path.write_text(path.read_text().replace('scope="experiment"', 'scope="revision"'))
    with pytest.raises(SpecError, match="revision refused by plugin brave: too long"):
        arena.start(flags={"total_timesteps": 60}, revision_plugins=[{"name": "brave"}], experiment="refused")
    assert "refused" not in [each.name for each in arena.client.experiments()]
    assert arena.complete(arena.start(flags=COUNTING, revision_plugins=[{"name": "brave"}])).attempt == 1


def test_a_plugin_steers_an_experiment_that_there_is(arena: Arena) -> None:
    drop(arena, "again", "api.wait_for_completion(api.create_run())")
    run = arena.complete(arena.start(flags=COUNTING))
    arena.client.run_plugin(run.experiment, "again")
    assert end_of(arena, run.experiment).state is ExecutionState.COMPLETED
    first, second = arena.client.runs(run.experiment)
    assert (first.run_id, second.revision_id) == (run.run_id, run.revision_id)
