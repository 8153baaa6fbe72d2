"""Write a snapshot beside the training: in a forked child, or on a thread where the process must not fork.

A fork holds the training only as long as the kernel takes to copy its tables of pages: the child has the memory as it
was at the boundary. Where the state is small, where an accelerator is in use, whose driver survives no fork, or where
memory is shared with other processes, the training is held until all has been pickled into memory; hashing, writing and
syncing then go on on a thread.
"""

from __future__ import annotations

import abc
import errno
import gc
import json
import os
import random
import select
import signal
import sys
import threading
import warnings
from time import monotonic
from typing import Any, Callable, Dict, Optional

from . import checkpoint
from .pickling import pickler_class
from .snapshot import Snapshot

Result = Dict[str, Any]
"""What is told of a snapshot: of one that was written, or ``reason`` and ``errno``."""

HUNG_AFTER_S = 120.0
_PROGRESS_EVERY_S = 1.0
_NEVER_FORKED = ("jax", "tensorflow")  # their threads hold locks that nobody releases in a child


class Writing(abc.ABC):
    """A snapshot that is being written."""

    hung = False
    """Whether it stood still and was given up."""

    @abc.abstractmethod
    def wait(self) -> Result:
        """Return once it is written, or cannot be."""


def start(snapshot: Snapshot, *, may_fork: bool, hung_after_s: float) -> Writing:
    """Begin to write *snapshot*; the training may go on as soon as this returns.

    Raises:
        Exception: As :meth:`Snapshot.fill`, where this process must not fork.
    """
    pickler_class()  # a child may not be able to import it
    if may_fork and can_fork() and not snapshot.has_shared_memory():
        try:
            return Forked(snapshot, hung_after_s=hung_after_s)
        except OSError:  # no memory for a second process, or too many of them
            pass
    return Threaded(snapshot)


def can_fork() -> bool:
    """Return whether a forked child of this process can look at all of its memory."""
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)
    return not ((cuda is not None and cuda.is_initialized()) or any(name in sys.modules for name in _NEVER_FORKED))


class Forked(Writing):
    """Written by a forked child, which tells over a pipe how it went.

    Raises:
        OSError: There can be no child.
    """

    def __init__(self, snapshot: Snapshot, *, hung_after_s: float) -> None:
        self._snapshot = snapshot
        self._hung_after_s = hung_after_s
        self._pipe, ours = os.pipe()
        generator = random.getstate()
        # Blocked in the child for good: no handler of the script runs there. What is to end it is SIGKILL.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._pid = _fork()
            if self._pid == 0:
                _write_and_exit(snapshot, ours, generator)
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            os.close(ours)

    def wait(self) -> Result:
        """See :class:`Writing`."""
        try:
            told = self._listen()
        finally:
            os.close(self._pipe)
        how = self._reap()
        if told is not None:
            return told
        checkpoint.discard(self._snapshot.path)
        if self.hung:
            how = f"stood still for {self._hung_after_s:g} s and was ended"
        # as if the pipe had broken: it could not be written, for a reason that is not the state's
        return {"reason": f"the process that wrote it {how}", "errno": errno.EPIPE}

    def _listen(self) -> Optional[Result]:
        """Return what the child tells last; None where it ends without a word, or has to be ended."""
        poller = select.poll()
        poller.register(self._pipe, select.POLLIN)
        heard, rest = monotonic(), b""
        while True:
            if poller.poll(_PROGRESS_EVERY_S * 1000):
                said = os.read(self._pipe, 65536)
                if not said:
                    return None
                *lines, rest = (rest + said).split(b"\n")
                results = [line for line in lines if line]
                if results:
                    result: Result = json.loads(results[0])
                    return result
                heard = monotonic()
            elif monotonic() - heard > self._hung_after_s:
                self.hung = True
                os.kill(self._pid, signal.SIGKILL)
                return None
            elif _is_over(self._pid) and not poller.poll(0):
                return None  # and another child of the script holds the pipe open

    def _reap(self) -> str:
        try:
            _, status = os.waitpid(self._pid, 0)
        except ChildProcessError:  # the script waits for all of its children, or ignores them
            return "ended without a word"
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        return f"was killed by {signal.Signals(number).name}" if number else "ended without a word"


def _is_over(pid: int) -> bool:
    """Return whether the child *pid* has ended; it stays to be waited for."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: see _write_and_exit
        return os.fork()


def _write_and_exit(snapshot: Snapshot, pipe: int, generator: Any) -> None:
    """Write *snapshot* in this forked child, tell how it went, and end without a trace of the script.

    Only this thread lives on in the child: locks that others held stay locked. So nothing here logs, imports or
    computes, and nothing of the script's is cleaned up: its environments' workers are still at work.
    """
    try:
        gc.disable()
        random.setstate(generator)  # Python seeds it anew in a child; an object of the script may be this generator
        said = [monotonic()]

        def on_progress() -> None:
            if monotonic() - said[0] > _PROGRESS_EVERY_S:
                said[0] = monotonic()
                os.write(pipe, b"\n")

        result = _attempt(lambda: snapshot.write(snapshot.fill, on_progress))
        with open(pipe, "wb", closefd=False) as file:
            file.write(json.dumps(result).encode() + b"\n")
    finally:
        os._exit(0)


class Threaded(Writing):
    """Pickled at once into memory; a thread writes that.

    Raises:
        Exception: As :meth:`Snapshot.fill`.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        kept = checkpoint.Kept()
        snapshot.fill(kept)
        self._result: Result = {}
        self._thread = threading.Thread(target=self._write, args=(snapshot, kept), name="arena-snapshot", daemon=True)
        self._thread.start()

    def wait(self) -> Result:
        """See :class:`Writing`."""
        self._thread.join()
        return self._result

    def _write(self, snapshot: Snapshot, kept: checkpoint.Kept) -> None:
        self._result = _attempt(lambda: snapshot.write(kept.pour))


def _attempt(write: Callable[[], Result]) -> Result:
    try:
        return write()
    except Exception as exc:  # noqa: BLE001 - a full disk or a strange object must not end the training
        return failure(exc)


def failure(exc: Exception) -> Result:
    """Return what is told of a snapshot that failed by *exc*."""
    reason = str(exc) if isinstance(exc, OSError) else f"{type(exc).__name__}: {exc}"
    return {"reason": reason, "errno": getattr(exc, "errno", None)}
