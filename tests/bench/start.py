"""How long a script takes to its main loop: run as its user would, and forked from the warm pool."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from table import ratios, row

import arena_ray.harness
from arena_ray.runner import inspect_script
from arena_ray.runner.discovery import load_runners
from arena_ray.runner.process import GuardedProcess
from arena_ray.runner.warm_pool import WarmPool, servers

ROUNDS = 9
HARNESS = Path(arena_ray.harness.__file__).parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "CUDA_VISIBLE_DEVICES": ""}


def measure() -> None:
    for name in ("ppo", "dqn"):
        compare(load_runners().runners["cleanrl"].scripts()[name])


def compare(script: Path) -> None:
    with tempfile.TemporaryDirectory() as directory, subprocess.Popen(["sleep", "600"]) as owner:
        pool = WarmPool(owner=owner.pid, directory=Path(directory) / "pool")
        first = warm(script, Path(directory), pool)
        bare, forked = [], []
        for _ in range(ROUNDS):
            bare.append(cold(script, Path(directory)))
            forked.append(warm(script, Path(directory), pool))
        [server] = [server for server in servers() if server.owner == owner.pid]
        owner.kill()
    row(f"{script.stem}: bare script to its main loop, s", bare)
    row(f"{script.stem}: first of a node, s", [first])
    row(f"{script.stem}: from the warm pool, s", forked)
    row(f"{script.stem}: warm pool / bare", ratios(forked, bare), "goal <= 0.06")
    row(f"{script.stem}: memory of its fork server, MiB", [server.memory_bytes / 2**20])


def cold(script: Path, directory: Path) -> float:
    """Return the seconds that a new interpreter takes until the first pass of the main loop, which says so."""
    lines = script.read_text().splitlines()
    loop = inspect_script(script.read_text(), path=script.name).main_loop
    assert loop is not None
    begin = next(
        node.body[0].lineno
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.For | ast.While) and node.lineno == loop.line
    )
    indent = lines[begin - 1][: -len(lines[begin - 1].lstrip())]
    lines.insert(begin - 1, f"{indent}print('first pass', flush=True)")
    copy = directory / script.name
    copy.write_text("\n".join(lines))
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, str(copy)], cwd=directory, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line == "first pass\n":
                break
        seconds = time.monotonic() - began
        process.kill()
    return seconds


def warm(script: Path, directory: Path, pool: WarmPool) -> float:
    """Return the seconds until a forked training stands at its first boundary."""
    modules = inspect_script(script.read_text(), path=script.name).imports
    command = [sys.executable, "-u", str(HARNESS), "--fd", "{fd}", "--attempt", "1", "--", str(script)]
    began = time.monotonic()
    process = GuardedProcess.start(
        command,
        cwd=directory,
        env=ENVIRONMENT,
        stdout=directory / "stdout",
        stderr=directory / "stderr",
        starter=partial(pool.start, modules=modules),
    )
    while process.wire.receive(60.0)["type"] != "boundary":
        pass
    seconds = time.monotonic() - began
    process.end()
    return seconds
