"""What supervision costs: a script's speed under it, and that of the same script run as its user would."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cluster_kit import Arena
from embedded import open_arena
from table import ratios, row

from arena_ray.model.settings import Settings

ROUNDS = 5
STEPS = {"ppo": 80_000, "dqn": 80_000, "sac_continuous_action": 8_000}
ENVIRONMENTS = {"sac_continuous_action": "Pendulum-v1"}
LOOK_EVERY_S = 0.5  # as the live view does


def measure() -> None:
    with open_arena(Settings(omp_num_threads=1)) as arena:
        for name, steps in STEPS.items():
            compare_speed(arena, name, steps)


def compare_speed(arena: Arena, name: str, steps: int) -> None:
    script = arena.runners["cleanrl"].scripts()[name]
    bare, supervised = [], []
    for _ in range(ROUNDS):
        bare.append(bare_speed(script, steps))
        supervised.append(supervised_speed(arena, name, steps))
    row(f"{name}: bare, steps/s", bare)
    row(f"{name}: supervised, steps/s", supervised)
    row(f"{name}: supervised / bare", ratios(supervised, bare), "goal >= 0.97")


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
    run = arena.start(name, env_id=ENVIRONMENTS.get(name, "CartPole-v1"), flags={"total_timesteps": steps})
    while not arena.run(run).state.is_final:
        time.sleep(LOOK_EVERY_S)
    arena.complete(run)
    [series] = arena.client.metrics(run.run_id, "charts/SPS")
    return series.points[-1][1]
