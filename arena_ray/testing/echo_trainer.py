"""A trainer that learns nothing, in a fraction of a second: speaks the wire, counts, can be killed and restored.

Started as ``python echo_trainer.py FD [--boundaries N] [--step-s S] [--raise-at N] [--exit-at N CODE]``. At boundary
``n`` it logs ``charts/value = value``, where ``value`` is a running checksum: an attempt that was restored wrongly
logs other values from there on. Standard library only, and itself an example of a trainer without the harness.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

EPISODE_EVERY = 5


class Stopped(Exception):
    """The run actor told us to stop."""


class EchoTrainer:
    """Counts boundaries; its whole state is the count and a checksum of all counts before."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._socket = socket.socket(fileno=options.fd)
        self._lines = self._socket.makefile("rb")
        self.boundary = 0
        self.value = 1

    def send(self, kind: str, **keys: Any) -> None:
        """Send one message up."""
        self._socket.sendall(json.dumps({"type": kind, "wall_time": time.time(), **keys}).encode() + b"\n")

    def commands(self, *, wait: bool) -> None:
        """Carry out what has come; with *wait*, until a grant comes."""
        self._socket.setblocking(True)
        while wait or self._has_command():
            line = self._lines.readline()
            if not line:
                sys.exit(1)
            command = json.loads(line)
            if command["type"] == "grant":
                wait = False
            elif command["type"] == "stop":
                raise Stopped
            elif command["type"] == "snapshot":
                self.snapshot(command["path"])
            elif command["type"] == "restore":
                self.restore(command["path"])

    def _has_command(self) -> bool:
        self._socket.setblocking(False)
        try:
            return bool(self._lines.peek(1))
        except BlockingIOError:
            return False
        finally:
            self._socket.setblocking(True)

    def snapshot(self, template: str) -> None:
        """Write a checkpoint with the files that every checkpoint has."""
        root = Path(template.format(step=f"{self.boundary:012d}"))
        try:
            (root / "resume").mkdir(parents=True)
            state = json.dumps({"boundary": self.boundary, "value": self.value}).encode()
            listed = {}
            for name in ("policy.safetensors", "policy.json", "resume/state.json"):
                (root / name).write_bytes(state)
                listed[name] = {"sha256": hashlib.sha256(state).hexdigest(), "bytes": len(state)}
            manifest = json.dumps({"schema_version": 1, "files": listed}).encode()
            (root / "manifest.json").write_bytes(manifest)
        except OSError as exc:
            reason = {"reason": str(exc), "errno": exc.errno}
            self.send("snapshot_failed", path=str(root), boundary=self.boundary, **reason)
            return
        self.send(
            "snapshot_saved",
            path=str(root),
            boundary=self.boundary,
            step=self.boundary,
            ended=self.boundary >= self._options.boundaries,
            digest=hashlib.sha256(manifest).hexdigest(),
            policy_digest=hashlib.sha256(state).hexdigest(),
            size_bytes=len(state) * 3,
            skipped=[],
        )

    def restore(self, path: str) -> None:
        """Take up the state of a checkpoint."""
        state = json.loads((Path(path) / "resume" / "state.json").read_text())
        self.boundary, self.value = state["boundary"], state["value"]
        self.send("restored", path=path, boundary=self.boundary, step=self.boundary)

    def train(self) -> None:
        """Count to the end."""
        options = self._options
        self.send("hello", schema_version=1)
        self.commands(wait=True)
        while self.boundary < options.boundaries:
            self.commands(wait=False)
            if self.boundary == options.raise_at:
                raise RuntimeError("the echo trainer was told to raise")
            if options.exit_at and self.boundary == options.exit_at[0]:
                sys.exit(options.exit_at[1])
            self.send("boundary", boundary=self.boundary, step=self.boundary)
            self.value = (self.value * 31 + self.boundary) % 1_000_003
            place = {"boundary": self.boundary, "step": self.boundary}
            self.send("step", **place, scalars={"charts/value": float(self.value)})
            if self.boundary % EPISODE_EVERY == 0:
                self.send("episode", **place, episodic_return=float(self.boundary), episodic_length=1.0)
            print(f"boundary {self.boundary}", flush=True)
            self.boundary += 1
            time.sleep(options.step_s)
        self.send("boundary", boundary=self.boundary, step=self.boundary, ended=True, held=True)
        self.commands(wait=True)


def main() -> None:
    """Train, and say how it ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("fd", type=int)
    parser.add_argument("--boundaries", type=int, default=20)
    parser.add_argument("--step-s", type=float, default=0.005)
    parser.add_argument("--raise-at", type=int, default=-1)
    parser.add_argument("--exit-at", type=int, nargs=2)
    trainer = EchoTrainer(parser.parse_args())
    try:
        trainer.train()
        outcome = "completed"
    except Stopped:
        outcome = "stopped"
    except RuntimeError as exc:
        trainer.send("error", **{"class": type(exc).__name__, "message": str(exc), "line": 1})
        raise
    trainer.send("bye", outcome=outcome, boundary=trainer.boundary, step=trainer.boundary)


if __name__ == "__main__":
    main()
