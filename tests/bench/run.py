"""What supervision costs: measured side by side in one go, medians of several rounds. Run by ``make bench``."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))  # what the tests share

from cluster_kit import Arena

from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.model.settings import Settings
from arena_ray.orchestrator import local
from arena_ray.orchestrator.client import ArenaClient

ROUNDS = 5
STEPS = {"ppo": 80_000, "dqn": 80_000}
LOOK_EVERY_S = 0.5  # as the live view does
MIB = 1 << 20


def median(values: list[float]) -> str:
    return f"{statistics.median(values):10.3f}  ({min(values):.3f} to {max(values):.3f})"


def row(what: str, values: list[float], goal: str = "") -> None:
    print(f"{what:52} {median(values)}  {goal}", flush=True)


def bare_speed(script: Path, steps: int) -> float:
    """Return the last SPS that the script itself prints, run as its user would."""
    with tempfile.TemporaryDirectory() as cwd:
        done = subprocess.run(
            [sys.executable, "-u", str(script), "--no-cuda", "--total-timesteps", str(steps)],
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=True,
        )
    return float([line for line in done.stdout.splitlines() if line.startswith("SPS")][-1].split()[1])


def supervised_speed(arena: Arena, name: str, steps: int) -> float:
    """Return the last SPS that the same script logs under supervision, snapshots at their usual interval included."""
    run = arena.start(name, flags={"total_timesteps": steps})
    while not arena.run(run).state.is_final:
        time.sleep(LOOK_EVERY_S)
    arena.complete(run)
    [series] = arena.client.metrics(run.run_id, "charts/SPS")
    return series.points[-1][1]


def compare_speed(arena: Arena) -> None:
    for name, steps in STEPS.items():
        script = arena.runners["cleanrl"].scripts()[name]
        bare, supervised = [], []
        for _ in range(ROUNDS):
            bare.append(bare_speed(script, steps))
            supervised.append(supervised_speed(arena, name, steps))
        row(f"{name}: bare, steps/s", bare)
        row(f"{name}: supervised, steps/s", supervised)
        ratios = [ours / theirs for ours, theirs in zip(supervised, bare, strict=True)]
        row(f"{name}: supervised / bare", ratios, "goal >= 0.95")


def wall_of(command: list[str], home: Path) -> float:
    begin = time.perf_counter()
    subprocess.run(command, env={**os.environ, "ARENA_HOME": str(home)}, capture_output=True, check=True)
    return time.perf_counter() - begin


def time_commands(arena: Arena) -> None:
    command = [str(Path(sys.executable).parent / "arena"), "runs"]
    walls = [wall_of(command, arena.workspace.home) for _ in range(ROUNDS)]
    row("arena runs, wall seconds", walls, "goal <= 0.4")


def answer_time(ask: Callable[[], object]) -> float:
    begin = time.perf_counter()
    ask()
    return time.perf_counter() - begin


def time_steering(arena: Arena) -> None:
    pauses, resumes, stops = [], [], []
    for _ in range(ROUNDS):
        run = arena.start(flags={"total_timesteps": 100_000})
        arena.wait_for_step(run, 5)
        pauses.append(answer_time(lambda run=run: arena.client.pause_run(run.run_id)))
        resumes.append(answer_time(lambda run=run: arena.client.resume_run(run.run_id)))
        stops.append(answer_time(lambda run=run: arena.client.stop_run(run.run_id)))
    row("pause acknowledged, seconds", pauses, "goal <= 1")
    row("resume acknowledged, seconds", resumes, "goal <= 1")
    row("stop acknowledged, seconds", stops, "goal <= 1")


def resident_mib(processes: list[psutil.Process]) -> float:
    return sum(process.memory_info().rss for process in processes) / MIB


def measure_memory(arena: Arena) -> None:
    run: Run = arena.start("ppo", flags={"total_timesteps": 2_000_000})
    arena.wait_for_step(run, 5_000)
    keeper = local.keeper_of(arena.workspace)
    assert keeper is not None
    services = [arena.services(title)[-1] for title in ("OrchestratorActor", "GatewayActor", "DriverActor")]
    control, beyond = [], []
    for _ in range(ROUNDS):
        control.append(resident_mib([keeper, *services]))
        beyond.append(resident_mib([arena.actor_of(run), arena.guard_of(run)]))
        time.sleep(1)
    for process, name in zip([keeper, *services], ("keeper", "orchestrator", "gateway", "driver"), strict=True):
        print(f"  {name:14} {resident_mib([process]):6.0f} MiB")
    row("control plane without Ray's own processes, MiB", control, "goal <= 700 MB")
    row("run actor and guard, MiB", beyond, "goal <= 220 MB")
    arena.client.stop_run(run.run_id, now=True)


def main() -> None:
    print(f"medians of {ROUNDS} (least to most), {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as home:
        workspace = Workspace(Path(home))
        with (
            local.start(workspace, Settings(omp_num_threads=1), keep=False, on_progress=print) as cluster,
            ArenaClient(cluster.address) as client,
        ):
            arena = Arena(workspace, client)
            compare_speed(arena)
            time_commands(arena)
            time_steering(arena)
            measure_memory(arena)


if __name__ == "__main__":
    main()
