"""What the control plane costs: answers to commands, and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from cluster_kit import Arena
from embedded import open_arena
from table import row

from arena_ray.model.records import Run
from arena_ray.model.settings import Settings
from arena_ray.orchestrator import local

ROUNDS = 5
MIB = 1 << 20


def measure() -> None:
    with open_arena(Settings(omp_num_threads=1)) as arena:
        time_commands(arena)
        time_steering(arena)
        measure_memory(arena)


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
