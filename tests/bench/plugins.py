"""What it costs to let a plugin start runs: from a submission to the script's main loop, many runs, and the journal."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from cluster_kit import Arena
from embedded import open_arena
from table import percentiles_row, ratios, row

from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.model.settings import Settings
from arena_ray.model.spec import ExperimentSpec
from arena_ray.registry.store import Store
from arena_ray.runner import preflight

HERE = Path(__file__).parent
SCRIPT = HERE / "scripts" / "one_second.py"
SUBMISSIONS = 20
RUNS = int(os.environ.get("BENCH_RUNS", "200"))
CPUS = 0.25
CALLS = 500
MANY = """
from .core import register_plugin

@register_plugin(name="many", scope="experiment", description="starts runs", settings_schema={"count": {"type": "int"}})
def many(context, api):
    api.wait_for_completion([api.create_run(seed=number) for number in range(context.settings["count"])])
"""
NOTES = """
import time
from .core import register_plugin

@register_plugin(name="notes", scope="experiment", description="notes", settings_schema={"count": {"type": "int"}})
def notes(context, api):
    api.add_note("warm")
    begin = time.monotonic()
    for number in range(context.settings["count"]):
        api.add_note(f"note {number}")
    api.log(f"took {time.monotonic() - begin}")
"""


def measure() -> None:
    with open_arena(Settings(omp_num_threads=1)) as arena:
        arena.workspace.plugins.mkdir()
        (arena.workspace.plugins / "many_plugin.py").write_text(MANY)
        (arena.workspace.plugins / "notes_plugin.py").write_text(NOTES)
        time_submissions(arena)
        time_calls(arena)
        ours = time_runs(arena)
    theirs = raw_tune()
    row(f"{RUNS} runs of one second by a plugin, s", [ours])
    row("the same by bare Ray Tune, s", [theirs])
    row("plugin / bare Ray Tune", ratios([ours], [theirs]), "goal <= 0.4")


def submit(arena: Arena, seed: int) -> Run:
    keys = {"experiment": "submissions", "runner": "cleanrl", "script": SCRIPT.name, "env_id": "CartPole-v1"}
    spec = ExperimentSpec.model_validate(keys | {"seed": seed, "resources": {"cpu": CPUS}})
    run = arena.client.start(preflight.prepare(spec, base=SCRIPT.parent, runners=arena.runners)).run
    assert run is not None
    return run


def time_submissions(arena: Arena) -> None:
    """Print how long it takes from a submission to the first pass of the main loop, where a run has trained before."""
    waits = []
    for seed in range(SUBMISSIONS + 1):
        began = time.time()
        run = submit(arena, seed)
        arena.complete(run)
        printed = [each["text"] for each in arena.client.stream_log(run.run_id)]
        [line] = [text for text in printed if text.startswith("loop began")]
        waits.append(float(line.split()[-1]) - began)
    row("first submission to a new experiment to its main loop, s", waits[:1])
    percentiles_row("submission to the script's main loop, s", waits[1:], "goal p50 <= 0.3")


def run_plugin(arena: Arena, name: str, count: int) -> tuple[float, Path]:
    """Return the seconds that the plugin's execution takes, and its log."""
    began = time.monotonic()
    experiment = arena.start_plugin(
        str(SCRIPT), plugin={"name": name, "settings": {"count": count}}, resources={"cpu": CPUS}
    )
    while not (execution := arena.client.executions(experiment)[0]).state.is_final:
        time.sleep(0.05)
    assert execution.state == "completed", execution.reason
    seconds = time.monotonic() - began
    assert all(run.state == "completed" for run in arena.client.runs(experiment))
    return seconds, arena.workspace.executions / f"{execution.execution_id}.log"


def time_calls(arena: Arena) -> None:
    """Print what a call costs from the plugin's process and back, and how much of that is the journal's."""
    _, log = run_plugin(arena, "notes", CALLS)
    [took] = re.findall(r"took ([\d.]+)", log.read_text())
    row("a note by a plugin: asked for, kept, journaled and answered, ms", [1000 * float(took) / CALLS])
    row("of that the journal, ms", time_journal(arena.workspace, log.stem), "goal <= 5")


def time_journal(workspace: Workspace, execution_id: str) -> list[float]:
    """Return the milliseconds that each of so many more calls takes to be written down, on the cluster's registry."""
    store = Store.open(workspace.registry_url)
    newest = store.list_plugin_calls(execution_id)[-1]
    waits = []
    for number in range(newest.number + newest.repeats + 1, newest.number + newest.repeats + 1 + CALLS):
        entry = newest.model_copy(update={"number": number, "repeats": 0, "arguments": {"text": f"note {number}"}})
        began = time.perf_counter()
        store.add_plugin_call(execution_id, entry)
        waits.append(1000 * (time.perf_counter() - began))
    assert store.list_plugin_calls(execution_id)[-1].number == number
    store.close()
    return waits


def time_runs(arena: Arena) -> float:
    return run_plugin(arena, "many", RUNS)[0]


def raw_tune() -> float:
    command = [sys.executable, str(HERE / "raw_tune.py"), str(SCRIPT), str(RUNS), str(CPUS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return statistics.fmean(map(float, re.findall(r"^took ([\d.]+)", done.stdout, flags=re.MULTILINE)))
