"""Finds, starts and stops the cluster of a workspace, from a process that knows nothing of Ray."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

from arena_ray.model.errors import ClusterUnavailable
from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings
from arena_ray.orchestrator import reader
from arena_ray.orchestrator.api import GatewayAddress, get_gateway
from arena_ray.orchestrator.leftovers import clear_leftovers

STOP_TIMEOUT_S = 30.0
OnProgress = Callable[[str], None]


class LocalCluster:
    """An embedded cluster that this process started. Closing takes it down, unless it is to be kept."""

    def __init__(
        self, keeper: subprocess.Popen[str], *, address: GatewayAddress, leash: int | None, directory: Path
    ) -> None:
        self._keeper = keeper
        self._directory = directory
        self._leash = leash
        self.address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def has_ended(self) -> bool:
        """Whether the cluster is gone although nobody took it down."""
        return self._keeper.poll() is not None

    def close(self) -> None:
        """Let go of the leash and wait until the cluster is gone; nothing happens to one that is to be kept."""
        if self._leash is None:
            return
        os.close(self._leash)
        self._leash = None
        try:
            self._keeper.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._keeper.kill()  # Ray's processes die with it
            self._keeper.wait()
        if self._keeper.returncode != 0:
            clear_leftovers(self._directory)


def find(workspace: Workspace) -> GatewayAddress | None:
    """Return where the workspace's gateway listens, or None where none answers."""
    client = reader.find_client(workspace)
    if client is None:
        return None
    with client:
        return client.address


def _command(mode: str, workspace: Workspace, settings: Settings) -> list[str]:
    module = "arena_ray.orchestrator.ray_process"
    options = ["--home", str(workspace.home), "--settings", settings.model_dump_json()]
    return [sys.executable, "-m", module, mode, *options]


def start(workspace: Workspace, settings: Settings, *, keep: bool, on_progress: OnProgress) -> LocalCluster:
    """Start an embedded cluster for the workspace.

    Args:
        workspace: Where everything is kept.
        settings: What the cluster offers, and how long it may take.
        keep: Whether it outlives this process; else it ends with it, however that ends.
        on_progress: Told what is being done.

    Raises:
        ClusterUnavailable: It could not be started; says why and where to look.
    """
    leash_out, leash_in = os.pipe()
    extra = [] if keep else ["--leash", str(leash_out)]
    with _open_log(workspace) as errors:
        keeper = subprocess.Popen(
            [*_command("embedded", workspace, settings), *extra],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            pass_fds=() if keep else (leash_out,),
            start_new_session=True,
        )
    os.close(leash_out)
    try:
        address = _await_address(keeper, workspace, on_progress)
    except BaseException:
        os.close(leash_in)
        keeper.send_signal(signal.SIGTERM)
        keeper.wait()
        raise
    if keep:
        os.close(leash_in)
    directory = Path(json.loads(workspace.cluster.read_text())["directory"])
    return LocalCluster(keeper, address=address, leash=None if keep else leash_in, directory=directory)


def find_or_start(
    workspace: Workspace, settings: Settings, *, keep: bool, on_progress: OnProgress
) -> tuple[GatewayAddress, LocalCluster | None]:
    """Return where the workspace's gateway listens, and the cluster if it was started for that, as :func:`start` does.

    One that another process is just starting is waited for.

    Raises:
        ClusterUnavailable: It could not be started; says why and where to look.
    """
    if (address := find(workspace)) is not None:
        return address, None
    try:
        started = start(workspace, settings, keep=keep, on_progress=on_progress)
    except ClusterUnavailable:
        if (address := find(workspace)) is None:
            raise
        return address, None
    return started.address, started


class ClusterUse:
    """A command at work on the workspace's cluster. Whoever started an embedded one can wait for the others.

    Nobody begins to use a cluster that is being taken down by one who has waited.

    Raises:
        ClusterUnavailable: The workspace cannot be written to.
    """

    def __init__(self, workspace: Workspace) -> None:
        try:
            workspace.training.mkdir(parents=True, exist_ok=True)
            self._file = workspace.cluster_users.open("ab")
        except OSError as exc:
            hint = "name another directory with ARENA_HOME"
            raise ClusterUnavailable(f"nothing can be kept in {workspace.home}: {exc}; {hint}") from exc
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def is_last(self) -> bool:
        """Whether no other command uses the cluster; if so, none will before this use has ended."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def connect(settings: Settings, workspace: Workspace, on_progress: OnProgress) -> GatewayAddress:
    """Return the gateway of the Ray cluster at ``settings.ray_address``, with our services started there if need be.

    Raises:
        ClusterUnavailable: The cluster cannot be reached.
    """
    with _open_log(workspace) as errors:
        child = subprocess.Popen(
            _command("attach", workspace, settings), stdout=subprocess.PIPE, stderr=errors, text=True
        )
    address = _await_address(child, workspace, on_progress)
    child.wait()
    return address


def _open_log(workspace: Workspace) -> IO[bytes]:
    """Open the file that takes what the cluster's processes print."""
    workspace.training.mkdir(parents=True, exist_ok=True)
    return workspace.cluster_log.open("ab")


def _await_address(process: subprocess.Popen[str], workspace: Workspace, on_progress: OnProgress) -> GatewayAddress:
    with closing(_messages(process)) as messages:
        return _find_address(messages, workspace, on_progress)


def _find_address(messages: Iterator[tuple[str, str]], workspace: Workspace, on_progress: OnProgress) -> GatewayAddress:
    for kind, content in messages:
        if kind == "progress":
            on_progress(content)
        elif kind == "address":
            return GatewayAddress.model_validate_json(content)
        elif kind == "error":
            raise ClusterUnavailable(f"{content} (more in {workspace.cluster_log})")
    raise ClusterUnavailable(f"the cluster's process ended at once; see {workspace.cluster_log}")


def _messages(process: subprocess.Popen[str]) -> Generator[tuple[str, str]]:
    assert process.stdout is not None  # asked for with PIPE
    with process.stdout:
        for line in process.stdout:
            with suppress(ValueError):
                yield from json.loads(line).items()


def stop(workspace: Workspace, on_progress: OnProgress) -> bool:
    """Take the workspace's cluster down, or our services out of the one it is attached to.

    Returns:
        Whether there was one.
    """
    keeper = keeper_of(workspace)
    if keeper is not None:
        on_progress("taking the cluster down")
        keeper.terminate()
        try:
            keeper.wait(STOP_TIMEOUT_S)
        except psutil.TimeoutExpired:
            keeper.kill()
        return True
    address = get_gateway(workspace.gateway)
    if address is None:
        return False
    if find(workspace) is not None:
        on_progress(f"taking our services out of the Ray cluster at {address.ray_address}")
        _detach(workspace, Settings(ray_address=address.ray_address))
    workspace.gateway.unlink(missing_ok=True)
    return True


def _detach(workspace: Workspace, settings: Settings) -> None:
    with _open_log(workspace) as errors:
        child = subprocess.Popen(
            _command("detach", workspace, settings), stdout=subprocess.PIPE, stderr=errors, text=True
        )
    said = dict(_messages(child))
    if child.wait() != 0:
        why = said.get("error", f"see {workspace.cluster_log}")
        raise ClusterUnavailable(
            f"our services in the Ray cluster at {settings.ray_address} could not be ended: {why}; "
            "where that cluster asks for tokens, set RAY_AUTH_MODE=token"
        )


def keeper_of(workspace: Workspace) -> psutil.Process | None:
    """Return the process that keeps the workspace's embedded cluster, if there is one."""
    try:
        known = json.loads(workspace.cluster.read_text())
        process = psutil.Process(known["pid"])
        return process if abs(process.create_time() - known["created"]) < 1.0 else None
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        return None
