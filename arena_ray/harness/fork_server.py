"""A process that has imported what scripts import, and forks: a training begins in a fraction of a second.

Started as ``python -u arena_ray/harness --pool LISTENER_FD OWNER_PID IDLE_S PADDING MODULE…``. Whoever connects sends
one line of JSON and five descriptors; *Source* of both: arena_ray/runner/warm_pool.py. The server forks the guard of
the new training, the guard forks the training, and then becomes the small guard that cold trainings have, too.

Nothing but imports happens before a fork. No backward pass, no arithmetic that wakes torch's threads, no CUDA: a forked
process of a GPU build would not survive them.
"""

from __future__ import annotations

import array
import ctypes
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
from pathlib import Path
from time import monotonic
from typing import Any, Dict, List, Optional, Tuple

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_EVERY_S = 1.0
_PATIENCE_S = 10.0
_DESCRIPTORS = 5
_LONGEST = 4_000_000  # of a request, in bytes
_BESIDES: Dict[str, Tuple[str, ...]] = {
    # What a module imports only when it is first used: an optimizer imports dynamo, a writer half of TensorBoard.
    "torch": ("torch._dynamo", "torch.utils.tensorboard"),
    "gymnasium": ("gymnasium.vector", "gymnasium.envs.classic_control"),
}


def serve(arguments: List[str]) -> List[str]:
    """Import, then fork for whoever asks. Returns only in a training process: with the harness's command line."""
    listener = socket.socket(fileno=int(arguments[0]))
    if os.fork() > 0:
        os._exit(0)  # Ray kills the children of a worker that ends; this one is nobody's child and serves the next, too
    os.setsid()
    os.chdir("/")
    owner, idle_s, modules = _Process(int(arguments[1])), float(arguments[2]), arguments[4:]
    for module in modules:
        _import(module)
    gc.collect()
    gc.freeze()  # no collection in a child touches, and so copies, what was there before
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    until = monotonic() + idle_s
    while owner.is_alive() and monotonic() < until:
        if select.select([listener], [], [], _LOOK_EVERY_S)[0]:
            command = _answer(listener)
            if command is not None:
                return command
            until = monotonic() + idle_s
    os._exit(0)


class _Process:
    """Another process: a later one of the same number is not it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._born = self._started()

    def _started(self) -> Optional[str]:
        try:
            return _stat(self._pid)[19]
        except OSError:
            return None

    def is_alive(self) -> bool:
        return self._born is not None and self._started() == self._born


def _stat(pid: int) -> List[str]:
    """Return what the kernel says of a process, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _import(module: str) -> None:
    """Import *module* and what it would import later. What cannot be imported here the script is to find out."""
    try:
        importlib.import_module(module)
        if module == "torch":
            importlib.import_module("torch")._dynamo  # noqa: B018 - imported by being looked at
    except Exception:  # noqa: BLE001 - modules of other people
        return
    for other in _BESIDES.get(module, ()):
        _import(other)


def _answer(listener: socket.socket) -> Optional[List[str]]:
    """Carry out one request; the training that it makes returns its command line, the server None."""
    with listener.accept()[0] as connection:
        connection.settimeout(_PATIENCE_S)
        descriptors: List[int] = []
        try:
            request = _receive(connection, descriptors)
            if request["gpu"] and _has_touched_gpu():
                _say(connection, refused="an import has initialised CUDA, which no fork survives")
                return None
            guard = os.fork()
            if guard == 0:
                try:
                    listener.close()
                    return _become_guard(request, descriptors)
                except Exception:  # noqa: BLE001 - whatever it is, this process is no server
                    sys.excepthook(*sys.exc_info())
                    os._exit(127)
            _say(connection, guard=guard)
        except (OSError, ValueError, KeyError):
            return None  # whoever asked has gone, or is none of ours: the end of the connection says so
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
    return None


def _receive(connection: socket.socket, descriptors: List[int]) -> Dict[str, Any]:
    """Return the request, and add what came with it to *descriptors*."""
    text = b""
    while not text.endswith(b"\n"):
        chunk, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize))
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.extend(array.array("i", data))
        text += chunk
        if not chunk or len(text) > _LONGEST:
            raise ValueError("the request has no end")
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    if len(descriptors) != _DESCRIPTORS:
        raise ValueError("five descriptors belong to a request")
    request: Dict[str, Any] = json.loads(text)
    return request


def _say(connection: socket.socket, **answer: Any) -> None:
    connection.sendall(json.dumps(answer).encode() + b"\n")


def _has_touched_gpu() -> bool:
    """Return whether torch has initialised CUDA, or a library has opened a GPU, as CUDA does at that moment."""
    is_initialized = getattr(getattr(sys.modules.get("torch"), "cuda", None), "is_initialized", None)
    if is_initialized is not None and is_initialized():
        return True
    return any(str(opened.resolve()).startswith("/dev/nvidia") for opened in Path("/proc/self/fd").iterdir())


def _become_guard(request: Dict[str, Any], descriptors: List[int]) -> List[str]:
    """Fork the training, in which this returns, and turn this process into its guard."""
    stdout, stderr, leash, status, wire = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else the kernel reaps the training, and nobody learns how it ended
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.chdir(request["cwd"])
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    guard = os.getpid()
    training = os.fork()
    if training == 0:
        return _become_training(request, os.dup(wire), guard)
    try:
        for descriptor in (leash, status):
            os.set_inheritable(descriptor, True)
        command = [*request["guard"], str(leash), str(status), "--watch", str(training)]
        os.execve(command[0], command, request["env"])
    finally:
        os._exit(127)  # the training dies with it


def _become_training(request: Dict[str, Any], wire: int, guard: int) -> List[str]:
    os.setpgid(0, 0)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:  # it died between the fork and the prctl
        os._exit(127)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as a new interpreter has it
    os.environ.clear()
    os.environ.update(request["env"])
    command = [word.replace("{fd}", str(wire)) for word in request["command"]]
    _show(command)
    random.seed()  # a new process begins with generators of its own, where nobody seeds them
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
    return command[3:]  # after interpreter, option and harness


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _show(command: List[str]) -> None:
    """Have ``ps`` show *command*: without it, every training would look like the server."""
    fields = _stat(os.getpid())
    begin, end = int(fields[45]), int(fields[46])
    text = b"\0".join(word.encode("utf-8", "surrogateescape") for word in command)[: end - begin - 1]
    ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin)
