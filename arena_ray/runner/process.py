"""A process that runs somebody else's code, under its guard: started, watched and ended as one thing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from arena_ray.runner import guard
from arena_ray.runner.wire import Wire


@dataclass(frozen=True)
class Exit:
    """How a training process ended: ``signal`` is 0 where it ended by itself."""

    exit_code: int
    signal: int

    @property
    def is_lost(self) -> bool:
        """Whether something outside the script ended it, so that another attempt makes sense."""
        return self.signal != 0

    def __str__(self) -> str:
        return f"killed by {signal.Signals(self.signal).name}" if self.signal else f"exit code {self.exit_code}"


MARK = "ARENA_TRAINING"
"""Environment variable by which everything that a training started can be told from all else on the machine."""

GUARD_LOST = Exit(exit_code=0, signal=signal.SIGKILL)


@dataclass(frozen=True)
class Order:
    """What it takes to start a process under its guard, whoever starts it. Its files are open descriptors."""

    command: Sequence[str]
    """Words of the command; ``{fd}`` becomes the number of its end of the wire."""
    cwd: Path
    env: Mapping[str, str]
    stdout: int
    stderr: int
    leash: int
    status: int
    wire: int


GUARD = (sys.executable, "-I", "-S", guard.__file__)


@dataclass(frozen=True)
class Guard:
    """A guard that was started, and its handle where it is a child of this process."""

    pid: int
    child: subprocess.Popen[bytes] | None = None


Starter = Callable[[Order], Guard]
"""Starts what is ordered; raises OSError where it cannot."""


def start_cold(order: Order) -> Guard:
    """Start a guard that starts the command in a new interpreter.

    Raises:
        OSError: The guard could not be started.
    """
    command = [word.replace("{fd}", str(order.wire)) for word in order.command]
    child = subprocess.Popen(
        [*GUARD, str(order.leash), str(order.status), *command],
        cwd=order.cwd,
        env=order.env,
        stdin=subprocess.DEVNULL,
        stdout=order.stdout,
        stderr=order.stderr,
        pass_fds=(order.leash, order.status, order.wire),
        start_new_session=True,
    )
    return Guard(child.pid, child)


class GuardedProcess:
    """A training process, or a plugin's, with its guard and the wire to it. Made by :meth:`start`."""

    def __init__(self, *, leash: int, status: int, wire: Wire, mark: str) -> None:
        self._leash = leash
        self._status = status
        self._mark = mark
        self._buffer = b""
        self._exit: Exit | None = None
        self._guard: Guard | None = None
        self.wire = wire
        self.pid: int | None = None

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: Path,
        stderr: Path,
        starter: Starter = start_cold,
    ) -> GuardedProcess:
        """Start *command* under a guard; ``{fd}`` in it becomes the number of its end of the wire.

        Raises:
            OSError: The guard could not be started or a file not be opened.
        """
        ours, theirs = socket.socketpair()
        leash_out, leash_in = os.pipe()
        status_out, status_in = os.pipe()
        os.set_blocking(status_out, False)
        mark = uuid.uuid4().hex
        process = cls(leash=leash_in, status=status_out, wire=Wire(ours), mark=mark)
        try:
            with stdout.open("ab") as out, stderr.open("ab") as err:
                files = {"stdout": out.fileno(), "stderr": err.fileno(), "leash": leash_out, "status": status_in}
                process._guard = starter(Order(command, cwd, {**env, MARK: mark}, wire=theirs.fileno(), **files))
        finally:
            theirs.close()
            os.close(leash_out)
            os.close(status_in)
            if process._guard is None:
                process.close()
        return process

    @property
    def guard_pid(self) -> int | None:
        """Pid of the guard."""
        return self._guard.pid if self._guard else None

    def poll(self) -> Exit | None:
        """Return how the process ended, or None while it runs."""
        if self._exit is None and self._status >= 0 and self._read_status() and self._exit is None:
            self._end_unguarded()
            self._exit = GUARD_LOST
        return self._exit

    def _read_status(self) -> bool:
        """Take what the guard has told; returns whether it will not tell any more, being gone."""
        with suppress(BlockingIOError):
            while chunk := os.read(self._status, 4096):
                self._take(chunk)
            return True
        return False

    def _take(self, chunk: bytes) -> None:
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "pid" in message:
                self.pid = message["pid"]
            else:
                self._exit = Exit(**message)

    def _end_unguarded(self) -> None:
        """End what is left of a training whose guard was killed: its session, and all that inherited its mark."""
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if os.getsid(process.pid) == self.guard_pid or process.environ().get(MARK) == self._mark:
                    process.kill()

    def _send(self, letter: bytes) -> None:
        with suppress(OSError):
            os.write(self._leash, letter)

    def wait(self, timeout_s: float) -> Exit | None:
        """Wait up to *timeout_s* for the end."""
        deadline = time.monotonic() + timeout_s
        while (how := self.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return how

    def kill(self) -> None:
        """Kill the process and all that it started, without waiting; :meth:`end` is to be called still."""
        self._send(b"K")

    def end(self, *, grace_s: float = 0.0) -> Exit:
        """End the training and all that it started: interrupt, terminate, kill, each given *grace_s*.

        Returns:
            How it ended; its files and the wire are closed afterwards.
        """
        if self._leash < 0:  # it was ended before
            return self._exit or GUARD_LOST
        for letter in (b"I", b"T") if grace_s > 0 else ():
            self._send(letter)
            if self.wait(grace_s) is not None:
                break
        self._send(b"K")
        how = self.wait(5.0) or GUARD_LOST
        self.close()
        return how

    def close(self) -> None:
        """Let go of the leash, which ends whatever is still there, and close the wire."""
        if self._leash < 0:
            return
        os.close(self._leash)
        self._leash = -1
        self._wait_for_guard(5.0)
        os.close(self._status)
        self._status = -1
        self.wire.close()
        if self._guard is not None and self._guard.child is not None:
            with suppress(subprocess.TimeoutExpired):
                self._guard.child.wait(1.0)

    def _wait_for_guard(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._read_status() and time.monotonic() < deadline:
            time.sleep(0.01)
