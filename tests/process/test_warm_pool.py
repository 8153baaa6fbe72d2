"""Trainings forked from a process that has imported what their scripts import."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from waiting import is_alive, wait_until

import arena_ray.harness
from arena_ray.model.paths import RunFiles
from arena_ray.runner.attempt import Launch, start_process
from arena_ray.runner.process import GuardedProcess
from arena_ray.runner.warm_pool import NoWarmStart, Server, WarmPool, servers

HARNESS = Path(arena_ray.harness.__file__).parent
SCRIPTS = Path(__file__).parent.parent / "scripts"
SCRIPT = """
    import os, random, sys
    import numpy as np
    import tensorboardX

    print("numpy", "numpy" in sys.argv[1:], os.environ.get("COLOUR"), random.random(), np.random.random())
    class Learner:
        def train(self):
            pass
    writer = tensorboardX.SummaryWriter("runs/x")
    learner = Learner()
    for step in range(5):
        learner.train()
        writer.add_scalar("losses/loss", step, step)
    sys.exit(int(sys.argv[1]))
"""


def of(owner: int) -> list[Server]:
    return [server for server in servers() if server.owner == owner]


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[bytes]]:
    """The process with which the servers end."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()
    wait_until(lambda: not of(process.pid))


@pytest.fixture
def pool(tmp_path: Path, owner: subprocess.Popen[bytes]) -> WarmPool:
    return WarmPool(owner=owner.pid, directory=tmp_path / "pool")


Start = Callable[..., GuardedProcess]


@pytest.fixture
def start(tmp_path: Path, pool: WarmPool) -> Iterator[Start]:
    script = tmp_path / "script.py"
    started: list[GuardedProcess] = []

    def begin(
        source: str = SCRIPT,
        *words: str,
        modules: tuple[str, ...] = ("numpy", "tensorboardX"),
        options: tuple[str, ...] = (),
        **env: str,
    ) -> GuardedProcess:
        script.write_text(textwrap.dedent(source))
        harness = [sys.executable, "-u", str(HARNESS), "--fd", "{fd}", "--attempt", "1", *options]
        command = [*harness, "--", str(script), *words]
        process = GuardedProcess.start(
            command,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **env},
            stdout=tmp_path / "stdout.log",
            stderr=tmp_path / "stderr.log",
            starter=partial(pool.start, modules=modules),
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.end()


def finish(process: GuardedProcess) -> tuple[object, list[dict]]:
    process.wire.send("grant", until_step=None)
    told = []
    while (message := process.wire.receive(60.0)) is not None:
        told.append(message)
        if message["type"] == "boundary" and message["ended"]:
            process.wire.send("grant", until_step=None)
        if message["type"] in ("bye", "error"):
            break
    how = process.wait(60.0)
    assert how is not None
    return how, told


def test_a_forked_training_is_like_one_in_a_new_interpreter(start: Start, tmp_path: Path) -> None:
    how, told = finish(start(SCRIPT, "3", COLOUR="blue"))
    assert (how.exit_code, how.signal) == (3, 0)
    assert [message["scalars"] for message in told if message["type"] == "step"] == [
        {"losses/loss": float(step)} for step in range(5)
    ]
    assert (tmp_path / "stdout.log").read_text().startswith("numpy False blue")
    assert (tmp_path / "stderr.log").read_text() == ""


def test_generators_that_nobody_seeds_differ_from_training_to_training(
    start: Start, pool: WarmPool, tmp_path: Path
) -> None:
    for _ in range(3):
        finish(start(SCRIPT, "0"))
    drawn = [line.split()[3:] for line in (tmp_path / "stdout.log").read_text().splitlines()]
    assert len({first for first, _ in drawn}) == len({second for _, second in drawn}) == 3
    assert len(of(pool.owner)) == 1


def test_a_forked_training_is_bound_to_its_cores(start: Start, tmp_path: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    how, _ = finish(start((SCRIPTS / "cores.py").read_text(), options=("--cores", str(allowed[-1]))))
    assert how.exit_code == 0
    assert (tmp_path / "stdout.log").read_text().splitlines() == [f"own [{allowed[-1]}]", f"forked {allowed}"]


HOLDS = """
    import os, subprocess, sys, time
    children = [subprocess.Popen(["sleep", "600"], start_new_session=new).pid for new in (False, True)]
    for new in (False, True):
        if (child := os.fork()) == 0:
            if new:
                os.setsid()
            time.sleep(600)
        children.append(child)
    print(*children, flush=True)
    class Learner:
        def train(self):
            pass
    learner = Learner()
    while True:
        learner.train()
"""


@pytest.fixture
def family(start: Start, tmp_path: Path) -> tuple[GuardedProcess, list[int]]:
    process = start(HOLDS, modules=())
    wait_until(lambda: process.poll() is not None or (tmp_path / "stdout.log").read_text().endswith("\n"))
    wait_until(lambda: process.poll() is not None or process.pid is not None)
    assert process.pid is not None
    return process, [process.pid, *map(int, (tmp_path / "stdout.log").read_text().split())]


@pytest.mark.parametrize("victim", ["training", "guard", "nobody"])
def test_whoever_is_killed_nothing_of_it_is_left(family: tuple[GuardedProcess, list[int]], victim: str) -> None:
    process, pids = family
    assert all(map(is_alive, pids))
    guard = process.guard_pid
    assert guard is not None
    if victim == "nobody":
        assert process.end().signal == signal.SIGKILL
    else:
        os.kill(pids[0] if victim == "training" else guard, signal.SIGKILL)
        wait_until(lambda: process.poll() is not None)
        assert process.poll().is_lost
        process.close()
    wait_until(lambda: not any(map(is_alive, [guard, *pids[:4]])))


def test_it_is_seen_under_its_own_command_and_guard(family: tuple[GuardedProcess, list[int]], tmp_path: Path) -> None:
    process, pids = family
    training, guard = psutil.Process(pids[0]), psutil.Process(process.guard_pid or 0)
    words = [word for word in training.cmdline() if word]
    assert words[:4] == [sys.executable, "-u", str(HARNESS), "--fd"]
    assert words[5:] == ["--attempt", "1", "--", str(tmp_path / "script.py")]
    assert training.parent() == guard
    assert "guard.py" in " ".join(guard.cmdline())


def test_other_modules_or_variables_are_another_server_and_a_gpu_is_not(start: Start, pool: WarmPool) -> None:
    finish(start(SCRIPT, "0"))
    finish(start(SCRIPT, "0", CUDA_VISIBLE_DEVICES="3"))
    assert len(of(pool.owner)) == 1
    finish(start(SCRIPT, "0", COLOUR="red"))
    finish(start(SCRIPT, "0", modules=("numpy",)))
    assert sorted(server.modules for server in of(pool.owner)) == [
        ("numpy",),
        ("numpy", "tensorboardX"),
        ("numpy", "tensorboardX"),
    ]
    assert all(server.memory_bytes > 0 for server in of(pool.owner))


def test_a_server_that_was_killed_is_replaced(start: Start, pool: WarmPool) -> None:
    finish(start(SCRIPT, "0"))
    [server] = of(pool.owner)
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(server.pid))
    how, _ = finish(start(SCRIPT, "0"))
    assert how.exit_code == 0


def test_a_directory_that_others_can_write_into_is_refused(start: Start, pool: WarmPool) -> None:
    pool.directory.mkdir(mode=0o777)
    pool.directory.chmod(0o777)
    with pytest.raises(NoWarmStart, match="not this user's alone"):
        start()


WITH_TORCH = """
    import torch
    class Learner:
        def train(self):
            pass
    learner = Learner()
    for step in range(5):
        learner.train()
"""


def stand_in_for_torch(tmp_path: Path, *, has_cuda: bool) -> str:
    """Write a module ``torch`` that has initialised CUDA while it was imported, or not, and return its directory."""
    (tmp_path / "modules").mkdir()
    source = f"class cuda:\n    is_initialized = staticmethod(lambda: {has_cuda})\n"
    (tmp_path / "modules" / "torch.py").write_text(source)
    return str(tmp_path / "modules")


def test_a_server_that_has_initialised_cuda_forks_no_run_that_has_a_gpu(
    start: Start, pool: WarmPool, tmp_path: Path
) -> None:
    path = stand_in_for_torch(tmp_path, has_cuda=True)
    for visible in ("0", "0,1"):
        with pytest.raises(NoWarmStart, match="an import has initialised CUDA, which no fork survives"):
            start(WITH_TORCH, modules=("torch",), PYTHONPATH=path, CUDA_VISIBLE_DEVICES=visible)
    how, _ = finish(start(WITH_TORCH, modules=("torch",), PYTHONPATH=path))
    assert (how.exit_code, [server.modules for server in of(pool.owner)]) == (0, [("torch",)])


def test_a_server_that_has_not_forks_runs_that_have_a_gpu(start: Start, tmp_path: Path) -> None:
    path = stand_in_for_torch(tmp_path, has_cuda=False)
    how, _ = finish(start(WITH_TORCH, modules=("torch",), PYTHONPATH=path, CUDA_VISIBLE_DEVICES="0"))
    assert how.exit_code == 0


def test_a_run_that_is_not_forked_starts_in_a_new_interpreter_with_a_note(pool: WarmPool, tmp_path: Path) -> None:
    path, script, files = stand_in_for_torch(tmp_path, has_cuda=True), tmp_path / "script.py", RunFiles(tmp_path, "run")
    script.write_text("import os\nprint(os.getppid(), flush=True)\n")
    files.attempt(1).mkdir(parents=True)
    launch = Launch(
        run_id="run",
        attempt=1,
        command=[sys.executable, "-u", str(HARNESS), "--fd", "{fd}", "--attempt", "1", "--", str(script)],
        env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "0"},
        files=files,
        snapshot_every_s=60.0,
        start_timeout_s=60.0,
        starter=partial(pool.start, modules=("torch",)),
    )
    notes: list[str] = []
    process = start_process(launch, note=notes.append)
    how = process.wait(60.0)
    process.end()
    assert how is not None
    assert how.exit_code == 0
    [note] = notes
    assert "initialised CUDA" in note
    assert note.endswith("it starts in a new interpreter")


def test_an_interpreter_that_is_not_there_is_told(tmp_path: Path, pool: WarmPool) -> None:
    with pytest.raises(NoWarmStart, match="no/such/python"):
        GuardedProcess.start(
            ["/no/such/python", "-u", str(HARNESS), "--fd", "{fd}"],
            cwd=tmp_path,
            env=os.environ,
            stdout=tmp_path / "out",
            stderr=tmp_path / "err",
            starter=partial(pool.start, modules=()),
        )
