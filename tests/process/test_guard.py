"""The guard: whoever dies, no process of a training stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import is_alive, wait_until

from arena_ray.runner.process import GuardedProcess

# A training that starts one child in its own group and one that left it, and tells both pids.
FAMILY = """
import json, socket, subprocess, sys, time
wire = socket.socket(fileno=int(sys.argv[1]))
children = [subprocess.Popen(["sleep", "600"], start_new_session=new).pid for new in (False, True)]
wire.sendall(json.dumps({"type": "hello", "children": children}).encode() + b"\\n")
time.sleep(600)
"""


def start(tmp_path: Path, source: str) -> GuardedProcess:
    return GuardedProcess.start(
        [sys.executable, "-c", source, "{fd}"],
        cwd=tmp_path,
        env=os.environ,
        stdout=tmp_path / "stdout.log",
        stderr=tmp_path / "stderr.log",
    )


@pytest.fixture
def family(tmp_path: Path) -> tuple[GuardedProcess, list[int]]:
    process = start(tmp_path, FAMILY)
    hello = process.wire.receive(60.0)
    assert hello is not None
    wait_until(lambda: process.poll() is not None or process.pid is not None)
    assert process.pid is not None
    return process, [process.pid, *hello["children"]]


def test_output_goes_to_the_files_and_the_exit_code_is_told(tmp_path: Path) -> None:
    process = start(tmp_path, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    how = process.wait(60.0)
    process.close()
    assert how is not None
    assert (how.exit_code, how.signal, how.is_lost) == (3, 0, False)
    assert (tmp_path / "stdout.log").read_text() == "out\n"
    assert (tmp_path / "stderr.log").read_text() == "err\n"


def test_a_command_that_does_not_exist_ends_with_127_and_says_so(tmp_path: Path) -> None:
    process = GuardedProcess.start(
        ["/no/such/python"],
        cwd=tmp_path,
        env=os.environ,
        stdout=tmp_path / "out",
        stderr=tmp_path / "err",
    )
    how = process.wait(60.0)
    process.close()
    assert how is not None
    assert how.exit_code == 127
    assert "/no/such/python" in (tmp_path / "err").read_text()


def test_ending_it_ends_its_whole_family(family: tuple[GuardedProcess, list[int]]) -> None:
    process, pids = family
    assert process.end().signal == signal.SIGKILL
    wait_until(lambda: not any(map(is_alive, pids)))


def test_an_interrupt_is_tried_before_the_kill(tmp_path: Path) -> None:
    source = "import time\ntry:\n  print('up', flush=True); time.sleep(600)\nexcept KeyboardInterrupt:\n  print('bye')"
    process = start(tmp_path, source)
    wait_until(lambda: "up" in (tmp_path / "stdout.log").read_text())
    assert process.end(grace_s=60.0).exit_code == 0
    assert (tmp_path / "stdout.log").read_text() == "up\nbye\n"


@pytest.mark.parametrize("victim", ["training", "guard"])
def test_whoever_is_killed_the_family_dies_and_the_run_counts_as_lost(
    family: tuple[GuardedProcess, list[int]], victim: str
) -> None:
    process, pids = family
    os.kill(pids[0] if victim == "training" else process.guard_pid, signal.SIGKILL)
    how = process.wait(60.0)
    process.close()
    assert how is not None
    assert how.is_lost
    wait_until(lambda: not any(map(is_alive, pids)))


def test_the_family_dies_with_the_actor(tmp_path: Path) -> None:
    source = f"""
import os, signal, sys
sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}
from pathlib import Path
from test_guard import FAMILY, start
process = start(Path({str(tmp_path)!r}), FAMILY)
print(*process.wire.receive(60.0)["children"], process.guard_pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    actor = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    pids = list(map(int, actor.stdout.split()))
    assert len(pids) == 3, actor.stderr
    wait_until(lambda: not any(map(is_alive, pids)))
