"""A disk that fills up while runs train on it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from e2e.terminal import Terminal, end
from waiting import wait_until

GROWING = """
import os
import time
from pathlib import Path


class Learner:
    def __init__(self):
        self.seen = []

    def update(self):
        self.seen.append(os.urandom(20_000))


learner = Learner()
for global_step in range(600):
    learner.update()
    if not Path("HURRY").exists():
        time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def small_disk(terminal: Terminal) -> Iterator[Path]:
    """A cluster that is up, with its workspace on a disk of 12 MB."""
    home = terminal.workspace.home
    home.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "arena-test", home]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"only root can mount a small disk: {mounted.stderr.strip()}")
    try:
        terminal.ask("up", "--num-cpus", "1", "--num-gpus", "0")
        yield home
        assert terminal.arena("down").code == 0
    finally:
        terminal.end_everything()
        subprocess.run(["umount", "--lazy", home], check=True)


def fill(path: Path) -> None:
    """Take all the space that there is."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while file.write(b"\1" * size) == size:
                    pass


def test_a_run_whose_disk_is_full_fails_and_says_so(terminal: Terminal, small_disk: Path) -> None:
    process = terminal.begin("run", terminal.write("full.yaml", experiment="full", flags={"total_timesteps": 50_000}))
    terminal.wait_for_run("full", lambda run: run.global_step > 50, "a run at work")
    fill(small_disk / "else")
    finished = end(process)
    assert finished.code == 1
    run = terminal.run_of("full")
    assert run.state == "failed"
    assert "no space left on" in run.reason.splitlines()[0].lower()
    assert run.reason.splitlines()[0] in finished.out
    (small_disk / "else").unlink()


def test_a_run_that_outgrows_its_disk_fails_and_keeps_what_it_had(terminal: Terminal, small_disk: Path) -> None:
    hurry = terminal.directory / "hurry"
    (terminal.directory / "growing.py").write_text(GROWING.replace("HURRY", str(hurry)))
    process = terminal.begin("run", terminal.write("g.yaml", experiment="growing", script="growing.py", flags=None))
    run = terminal.wait_for_run("growing", lambda run: run.global_step > 0, "a run at work")
    wait_until(lambda: terminal.ask("checkpoints", run.name), what="a checkpoint")
    hurry.touch()
    finished = end(process)
    assert finished.code == 1
    run = terminal.run_of("growing")
    assert (run.state, run.attempt) == ("failed", 1)
    assert run.reason == "the last checkpoint could not be written: [Errno 28] No space left on device"
    assert run.reason in finished.out
    [newest, *_] = terminal.ask("checkpoints", run.name)
    assert 0 < newest["global_step"] < run.global_step
    assert any("No space left" in line["text"] for line in terminal.ask("logs", run.name))
