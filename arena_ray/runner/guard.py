"""The small process between a run actor and its training: whoever dies, nothing of the training outlives it.

Started as ``python -I -S guard.py LEASH_FD STATUS_FD COMMAND…``, or, where the training was forked from a warm process,
by the parent of that fork as ``… --watch PID``. It is in a session of its own, so that the end of the
actor's process group does not take the guard before it has cleaned up; it is the subreaper of all that the training
starts, daemons included. Down the leash come single letters: ``I``, ``T``, ``K`` signal the training's process group;
the leash's end means that the actor is gone. Up the status pipe go two JSON lines: the training's pid, and its end; the
pipe's own end means that the guard is gone.
Standard library only, no import of ours: it must stay small.
"""

import ctypes
import json
import os
import select
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SIGNALS = {b"I": signal.SIGINT, b"T": signal.SIGTERM, b"K": signal.SIGKILL}


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _start(command: list[str]) -> int:
    guard_pid = os.getpid()
    training = os.fork()
    if training == 0:
        _become(command, guard_pid)
    return training


def _become(command: list[str], guard_pid: int) -> None:
    """Turn this forked child into the training process, which dies with the guard."""
    try:
        os.setpgid(0, 0)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard_pid:  # the guard died between the fork and the prctl
            os._exit(127)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)
    except OSError as exc:
        os.write(2, f"{command[0]} cannot be started: {exc.strerror}\n".encode())
    os._exit(127)


def _signal_group(pgid: int, number: int) -> None:
    try:
        os.killpg(pgid, number)
    except (ProcessLookupError, PermissionError):
        return


def _end_descendants() -> None:
    """Kill what the training left behind: as their subreaper, we have all of them for children."""
    while True:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _reap(training: int) -> int | None:
    """Collect the dead; return the training's wait status once it is among them."""
    status = None
    while True:
        try:
            pid, how = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == training:
            status = how


def _watch(training: int, leash: int, wakeup: int) -> int | None:
    """Wait for the training's end and return its wait status, or None where the leash ended first."""
    poller = select.poll()
    poller.register(leash, select.POLLIN | select.POLLHUP)
    poller.register(wakeup, select.POLLIN)
    if (status := _reap(training)) is not None:  # it ended before its death could wake us
        return status
    while True:
        for fd, _ in poller.poll():
            if fd == wakeup:
                os.read(wakeup, 512)
                if (status := _reap(training)) is not None:
                    return status
            elif not (letter := os.read(leash, 1)):
                return None
            else:
                _signal_group(training, SIGNALS[letter])


def main(arguments: list[str]) -> None:
    """Start the command, unless it is at work already; watch it, clean up after it."""
    leash, status_fd = int(arguments[0]), int(arguments[1])
    for fd in (leash, status_fd):
        os.set_inheritable(fd, False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    wakeup, wakeup_in = os.pipe()
    os.set_blocking(wakeup_in, False)
    signal.set_wakeup_fd(wakeup_in)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    training = int(arguments[3]) if arguments[2] == "--watch" else _start(arguments[2:])
    _report(status_fd, {"pid": training})
    how = _watch(training, leash, wakeup)
    _signal_group(training, signal.SIGKILL)
    _end_descendants()
    if how is not None:
        code = os.waitstatus_to_exitcode(how)
        _report(status_fd, {"exit_code": max(code, 0), "signal": max(-code, 0)})


def _report(status_fd: int, message: dict[str, int]) -> None:
    try:
        os.write(status_fd, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:  # the actor is gone: nobody to tell
        return


if __name__ == "__main__":
    main(sys.argv[1:])
