"""Drives real training processes over a socket pair, as a run actor does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import arena_ray.harness

HARNESS = Path(arena_ray.harness.__file__).parent
TIMEOUT_S = 90.0


class Trainer:
    """One training process and the peer's end of its wire."""

    def __init__(
        self,
        script: Path,
        *args: str,
        tensorboard: Path | None = None,
        own_group: bool = True,
        python: str = sys.executable,
        python_path: Path | None = None,
    ):
        ours, theirs = socket.socketpair()
        command = [python, "-u", str(HARNESS), "--fd", str(theirs.fileno()), "--attempt", "1"]
        if tensorboard is not None:
            command += ["--tensorboard", str(tensorboard)]
        self.process = subprocess.Popen(
            [*command, "--", str(script), *args],
            pass_fds=[theirs.fileno()],
            start_new_session=own_group,
            cwd=script.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **({"PYTHONPATH": str(python_path)} if python_path else {})},
        )
        theirs.close()
        ours.settimeout(TIMEOUT_S)
        self.socket = ours
        self.lines = ours.makefile("r", encoding="utf-8")
        self.messages: list[dict[str, Any]] = []

    def send(self, kind: str, **content: Any) -> None:
        self.socket.sendall(json.dumps({"type": kind, **content}).encode() + b"\n")

    def next(self) -> dict[str, Any] | None:
        line = self.lines.readline()
        if not line:
            return None
        self.messages.append(json.loads(line))
        return self.messages[-1]

    def wait_for(self, kind: str, **content: Any) -> dict[str, Any]:
        """Return the next message of this kind and content."""
        while (message := self.next()) is not None:
            if message["type"] == kind and content.items() <= message.items():
                return message
        raise AssertionError(f"no {kind} {content} in {self.messages}; stderr: {self.process.communicate()[1]}")

    def hold_at(self, step: int) -> dict[str, Any]:
        """Let it train up to *step* and wait until it holds there."""
        self.send("grant", until_step=step)
        return self.wait_for("boundary", held=True)

    def snapshot(self, path: Path) -> dict[str, Any]:
        self.send("snapshot", path=str(path))
        return self.wait_for("snapshot_saved")

    def restore(self, path: Path) -> dict[str, Any]:
        self.wait_for("boundary", held=True)
        self.send("restore", path=str(path))
        return self.wait_for("restored")

    def finish(self) -> tuple[str, str]:
        """Let it train to its end and return what it printed."""
        self.send("grant", until_step=None)
        self.wait_for("boundary", ended=True, held=True)
        self.send("grant", until_step=None)
        self.wait_for("bye")
        return self.outcome()

    def outcome(self) -> tuple[str, str]:
        """Wait for its end and return what it printed."""
        return self.process.communicate(timeout=TIMEOUT_S)

    def kill(self) -> None:
        if self.process.poll() is None and os.getpgid(self.process.pid) == self.process.pid:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.communicate()
        self.lines.close()
        self.socket.close()

    def rows(self) -> list[tuple[int, str, Any]]:
        """Return every scalar that came up, as (step, tag, value)."""
        steps = [message for message in self.messages if message["type"] == "step"]
        return [(message["step"], tag, value) for message in steps for tag, value in message["scalars"].items()]


@pytest.fixture
def train(tmp_path):
    """Start a script under the harness; whatever still runs at the end is killed."""
    started: list[Trainer] = []

    def start(source: str, *args: str, name: str = "script.py", **options: Any) -> Trainer:
        script = tmp_path / name
        script.write_text(textwrap.dedent(source))
        started.append(Trainer(options.pop("script", script), *args, **options))
        return started[-1]

    yield start
    for trainer in started:
        trainer.kill()
