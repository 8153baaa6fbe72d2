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
from collections.abc import Mapping, Sequence
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


class GuardedProcess:
    """A training process, or a plugin's, with its guard and the wire to it. Made by :meth:`start`."""

    def __init__(self, watcher: subprocess.Popen[bytes], *, leash: int, status: int, wire: Wire, mark: str) -> None:
        self._guard = watcher
        self._leash = leash
        self._status = status
        self._mark = mark
        self._buffer = b""
        self._exit: Exit | None = None
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
    ) -> GuardedProcess:
        """Start *command* under a guard; ``{fd}`` in it becomes the number of its end of the wire.

        Raises:
            OSError: The guard could not be started or a file not be opened.
        """
        ours, theirs = socket.socketpair()
        leash_out, leash_in = os.pipe()
        status_out, status_in = os.pipe()
        mark = uuid.uuid4().hex
        argv = [part.format(fd=theirs.fileno()) if part == "{fd}" else part for part in command]
        try:
            with stdout.open("ab") as out, stderr.open("ab") as err:
                watcher = subprocess.Popen(
                    [sys.executable, "-I", "-S", guard.__file__, str(leash_out), str(status_in), *argv],
                    cwd=cwd,
                    env={**env, MARK: mark},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    pass_fds=(leash_out, status_in, theirs.fileno()),
                    start_new_session=True,
                )
        except OSError:
            ours.close()
            os.close(leash_in)
            os.close(status_out)
            raise
        finally:
            theirs.close()
            os.close(leash_out)
            os.close(status_in)
        os.set_blocking(status_out, False)
        return cls(watcher, leash=leash_in, status=status_out, wire=Wire(ours), mark=mark)

    @property
    def guard_pid(self) -> int:
        """Pid of the guard."""
        return self._guard.pid

    def poll(self) -> Exit | None:
        """Return how the process ended, or None while it runs."""
        if self._exit is None:
            guard_is_gone = self._guard.poll() is not None
            self._read_status()
            if self._exit is None and guard_is_gone:
                self._end_unguarded()
                self._exit = GUARD_LOST
        return self._exit

    def _read_status(self) -> None:
        with suppress(BlockingIOError):
            while chunk := os.read(self._status, 4096):
                self._buffer += chunk
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "pid" in message:
                self.pid = message["pid"]
            else:
                self._exit = Exit(**message)

    def _end_unguarded(self) -> None:
        """End what is left of a training whose guard was killed: all that inherited its mark."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self._mark:
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
        for fd in (self._leash, self._status):
            with suppress(OSError):
                os.close(fd)
        self._leash = self._status = -1
        self.wire.close()
        with suppress(subprocess.TimeoutExpired):
            self._guard.wait(5.0)
