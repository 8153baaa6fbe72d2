"""A disk that fills up while a run trains on it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from e2e.terminal import Terminal

SIZE = "12m"
GROWING = """
import os
import time


class Learner:
    def __init__(self):
        self.seen = []

    def update(self):
        self.seen.append(os.urandom(100_000))


learner = Learner()
for global_step in range(120):
    learner.update()
    time.sleep(0.02)
"""


@pytest.fixture
def small_disk(terminal: Terminal) -> Iterator[None]:
    """Put the terminal's workspace on a disk of 12 MB."""
    home = terminal.workspace.home
    home.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "arena-test", home], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"only root can mount a small disk: {mounted.stderr.strip()}")
    yield
    terminal.end_everything()
    subprocess.run(["umount", "--lazy", home], check=True)


@pytest.mark.usefixtures("small_disk")
def test_a_run_that_fills_the_disk_fails_and_says_so(terminal: Terminal) -> None:
    (terminal.directory / "growing.py").write_text(GROWING)
    file = terminal.write("growing.yaml", experiment="growing", script="growing.py", flags=None)
    finished = terminal.arena("run", file)
    assert finished.code == 1
    run = terminal.run_of("growing")
    assert run.state == "failed"
    assert run.reason == "the last checkpoint could not be written: [Errno 28] No space left on device"
    assert run.reason in finished.out
    assert "Traceback" not in finished.err
    [newest, *_] = terminal.ask("checkpoints", run.name)
    assert 0 < newest["global_step"] < run.global_step
    assert any("No space left" in line["text"] for line in terminal.ask("logs", run.name))
