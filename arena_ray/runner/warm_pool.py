"""Trainings forked from processes that have imported already what their scripts import: no cold start.

On each node there is one fork server (arena_ray/harness/fork_server.py) for each interpreter, environment and set of
modules, as they are asked for. It ends with the process that owns it, a node's raylet, or when nobody has asked for a
while. When a package is installed into the interpreter's environment, the next training gets a new server.

To a server's socket goes one line of JSON, ``{"command": [word…], "cwd": path, "env": {…}, "guard": [word…], "gpu":
bool}``, with five descriptors: standard output and error, the guard's ends of leash and status pipe, the training's end
of the wire. The answer is ``{"guard": pid}`` or ``{"refused": reason}``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from arena_ray.runner.process import GUARD, MARK, Guard, Order
from arena_ray.runner.user_folder import make_private

MODULES = ("numpy", "torch", "gymnasium", "tensorboard", "tensorboardX", "tyro")
"""Modules that survive a fork where they were only imported; a server imports those that its scripts import."""

IDLE_S = 300.0
_PADDING = " " * 2000  # room for the words of a training's command, where ps looks for them
_OF_THE_RUN = frozenset({MARK, "CUDA_VISIBLE_DEVICES"})
"""Variables that no import reads: trainings that differ in them share a server."""


class NoWarmStart(OSError):
    """No fork server could start the training; a new interpreter can."""


@dataclass(frozen=True)
class WarmPool:
    """Fork servers of this node.

    Args:
        owner: Pid of the process whose end ends the servers.
        directory: Where their sockets lie; belongs to this user alone.
        timeout_s: Seconds that a server may take to import and to answer.
    """

    owner: int
    directory: Path
    timeout_s: float = 120.0

    def start(self, order: Order, *, modules: Iterable[str]) -> Guard:
        """Fork the training of *order*, whose first words are an interpreter, its options and the harness.

        Args:
            order: What to start.
            modules: Top-level modules that the script imports.

        Raises:
            NoWarmStart: The server cannot be started, or refuses.
        """
        request = {
            "command": list(order.command),
            "cwd": str(order.cwd),
            "env": dict(order.env),
            "guard": list(GUARD),
            "gpu": order.env.get("CUDA_VISIBLE_DEVICES") != "",
        }
        descriptors = [order.stdout, order.stderr, order.leash, order.status, order.wire]
        wanted = [name for name in MODULES if name in set(modules)]
        try:
            # A server that has been idle for long may end just now: the second one is new.
            answer = self._ask(order, wanted, request, descriptors) or self._ask(order, wanted, request, descriptors)
        except (OSError, ValueError, subprocess.SubprocessError, psutil.Error) as exc:
            raise NoWarmStart(f"the warm pool does not answer: {exc}") from exc
        if "guard" not in answer:
            raise NoWarmStart(f"the warm pool did not start it: {answer.get('refused', 'its server ended')}")
        return Guard(answer["guard"])

    def _ask(
        self, order: Order, modules: list[str], request: Mapping[str, Any], descriptors: list[int]
    ) -> dict[str, Any]:
        """Return the server's answer; empty where it ended without one."""
        with self._connect(order, modules) as connection:
            connection.settimeout(self.timeout_s)
            try:
                socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], descriptors)
                answer: dict[str, Any] = json.loads(connection.makefile("rb").readline() or b"{}")
            except ConnectionError:
                return {}
        return answer

    def _connect(self, order: Order, modules: list[str]) -> socket.socket:
        """Connect to the server of these words, environment and modules; where there is none yet, start it."""
        make_private(self.directory)
        start = [*order.command[:3], "--pool"]
        env = {name: value for name, value in order.env.items() if name not in _OF_THE_RUN}
        path = self.directory / f"{_digest(start, env, modules, self.owner)}.sock"
        if (connection := _connected(path)) is not None:
            return connection
        with _locked(self.directory / "lock"):
            if (connection := _connected(path)) is not None:  # somebody else has started it meanwhile
                return connection
            _remove_dead(self.directory)
            self._serve(path, start, env, modules)
            if (connection := _connected(path)) is not None:
                return connection
        raise NoWarmStart("its server ended at once")

    def _serve(self, path: Path, start: list[str], env: Mapping[str, str], modules: list[str]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen(64)
            with path.with_suffix(".log").open("wb") as log:
                subprocess.run(
                    [*start, str(listener.fileno()), str(self.owner), str(IDLE_S), _PADDING, *modules],
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[listener.fileno()],
                    timeout=self.timeout_s,
                    check=True,
                )


def _connected(path: Path) -> socket.socket | None:
    """Return a connection to the server that listens at *path*, or None where none does."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError as exc:
        connection.close()
        if isinstance(exc, FileNotFoundError | ConnectionRefusedError):
            return None
        raise
    return connection


def _remove_dead(directory: Path) -> None:
    """Remove what servers that have ended left in *directory*."""
    for path in directory.glob("*.sock"):
        if (connection := _connected(path)) is not None:
            connection.close()
            continue
        path.unlink(missing_ok=True)
        path.with_suffix(".log").unlink(missing_ok=True)


@dataclass(frozen=True)
class Server:
    """A fork server at work on this node."""

    pid: int
    owner: int
    modules: tuple[str, ...]
    memory_bytes: int
    """What it holds and shares with the trainings that it has forked."""


def servers() -> list[Server]:
    """Return the fork servers of this user on this node."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if words[3:4] == ["--pool"] and _PADDING in words and process.uids().real == os.getuid():
                padding = words.index(_PADDING)
                owner, modules = int(words[padding - 2]), tuple(words[padding + 1 :])
                found.append(Server(process.pid, owner, modules, process.memory_info().rss))
    return found


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(start: list[str], env: Mapping[str, str], modules: list[str], owner: int) -> str:
    """Return what tells a server from others: what it was started with, and the state of what it imports."""
    born = psutil.Process(owner).create_time()
    told: Any = [start, sorted(env.items()), modules, owner, born, _state_of(Path(start[0]), Path(start[2]))]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:20]


def _state_of(interpreter: Path, harness: Path) -> list[tuple[str, int]]:
    """Return when the environment of *interpreter* was changed last: an installation touches its directories."""
    prefix = interpreter.parent.parent
    places = [interpreter, prefix / "pyvenv.cfg", *prefix.glob("lib*/python3*/site-packages"), *harness.glob("*.py")]
    return [(str(place), place.stat().st_mtime_ns) for place in places if place.exists()]
