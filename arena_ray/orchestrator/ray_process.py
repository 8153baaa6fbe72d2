"""The processes that hold a connection to Ray, so that the command line need not. Say how far they are on stdout.

``embedded`` starts a Ray cluster on this machine and keeps it for as long as it lives; ``attach`` starts our services
in a cluster that exists, ``detach`` ends them there. Each line on standard output is a JSON object with one of
``progress``, ``address`` and ``error``.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import click
import psutil
from pydantic import BaseModel

from arena_ray.model.errors import ArenaError, ClusterUnavailable
from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings
from arena_ray.orchestrator.api import write_gateway
from arena_ray.orchestrator.leftovers import DIRECTORY_PREFIX, clear_leftovers
from arena_ray.serving.body_first import ENVIRONMENT as BODIES_FIRST

OBJECT_STORE_BYTES = 256 << 20
JOB_DIRECTORIES = "working_dir_files"
"""Name of the directory in which Ray unpacks the working directories of jobs."""
LOCK_PATIENCE_S = 60.0
LOCK_POLL_S = 0.3
LOOPBACK = "127.0.0.2"
"""Ray replaces 127.0.0.1 by the machine's outer address and would listen there; this one is loopback as well."""

FAST_FAULT_DETECTION = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "2",
}
NO_NICENESS = {"RAY_worker_niceness": "0"}
"""Ray would run its workers, and so the training processes that they start, at the lowest priority but four."""

QUIET = {"RAY_DEDUP_LOGS": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_USAGE_STATS_ENABLED": "0"}


class Keeper(BaseModel):
    """Which process keeps the embedded cluster; its start time tells it from a later one with the same pid."""

    pid: int
    created: float
    directory: str = ""
    """Where Ray keeps its sockets and logs."""


def say(kind: str, content: str) -> None:
    """Tell the process that started us; it may have gone."""
    with suppress(BrokenPipeError):
        print(json.dumps({kind: content}), flush=True)


@contextmanager
def sole_keeper(workspace: Workspace) -> Iterator[Path]:
    """Hold the workspace's lock, say in its file who does, and give a directory for Ray."""
    workspace.training.mkdir(parents=True, exist_ok=True)
    with workspace.cluster_lock.open("w") as lock:
        _wait_for_lock(lock, workspace)
        _clear_after_killed_keeper(workspace)
        # Ray's sockets lie there, and a socket's path has 107 bytes at most: the workspace may be deeper than that.
        directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
        me = psutil.Process()
        keeper = Keeper(pid=me.pid, created=me.create_time(), directory=str(directory))
        workspace.cluster.write_text(keeper.model_dump_json())
        try:
            yield directory
        finally:
            workspace.gateway.unlink(missing_ok=True)
            shutil.rmtree(directory, ignore_errors=True)
            workspace.cluster.unlink(missing_ok=True)


def _wait_for_lock(lock: IO[str], workspace: Workspace) -> None:
    """Lock the file; a cluster of this workspace that is just ending is given time to.

    Raises:
        ClusterUnavailable: There is one, and it is up by now, or is neither up nor gone in time.
    """
    from arena_ray.orchestrator.local import find

    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            if time.monotonic() > deadline or find(workspace) is not None:
                raise ClusterUnavailable(
                    f"another process is starting or stopping the cluster of {workspace.home}; try again in a moment"
                ) from exc
            time.sleep(LOCK_POLL_S)


def _clear_after_killed_keeper(workspace: Workspace) -> None:
    """End what is left of a Ray whose keeper could not do so itself, and remove its directory."""
    with suppress(OSError, ValueError):
        clear_leftovers(Path(Keeper.model_validate_json(workspace.cluster.read_text()).directory))


@contextmanager
def _embedded_ray(settings: Settings, directory: Path) -> Iterator[None]:
    """Run a Ray cluster of this process, on loopback, with a token, in *directory*."""
    os.environ.update({**FAST_FAULT_DETECTION, **NO_NICENESS, **QUIET, **BODIES_FIRST, "RAY_AUTH_MODE": "token"})
    import ray

    options: dict[str, Any] = {
        "address": "local",
        "num_cpus": settings.ray_num_cpus or None,
        "num_gpus": settings.ray_num_gpus if settings.ray_num_gpus >= 0 else None,
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": "error",
        "_node_ip_address": LOOPBACK,
        "_temp_dir": str(directory),
    }
    try:
        ray.init(**options)
        yield
    finally:
        ray.shutdown()


def _wait_for_the_end(leash: int | None) -> None:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    if leash is not None:
        threading.Thread(target=_end_with, args=(leash, ended), daemon=True).start()
    ended.wait()


def _end_with(leash: int, ended: threading.Event) -> None:
    os.read(leash, 1)
    ended.set()


def run_embedded(workspace: Workspace, settings: Settings, *, leash: int | None) -> None:
    """Keep an embedded cluster until a signal comes or the *leash*, a pipe's end, is let go."""
    with sole_keeper(workspace) as directory:
        say("progress", "starting Ray on this machine")
        with _embedded_ray(settings, directory):
            from arena_ray.orchestrator.services import ensure_services, remove_services

            say("progress", "starting the orchestrator and the gateway")
            address = ensure_services(home=str(workspace.home), settings=settings)
            say("address", address.model_dump_json())
            _wait_for_the_end(leash)
            remove_services()


def lasting_home(home: Path, *, otherwise: Path) -> Path:
    """Return *home*, or *otherwise* where *home* lies in the copy of a working directory that Ray makes for a job.

    Ray deletes such a copy some time after the job; what the services keep is to outlast it.
    """
    return otherwise if JOB_DIRECTORIES in home.parts else home


def run_attached(workspace: Workspace, settings: Settings, *, is_leaving: bool) -> None:
    """Start our services in the cluster at ``settings.ray_address``, or end them there."""
    os.environ.update(QUIET)
    import ray

    say("progress", f"connecting to the Ray cluster at {settings.ray_address}")
    ray.init(address=settings.ray_address, log_to_driver=False, logging_level="error")
    from arena_ray.orchestrator.services import ensure_services, remove_services

    if is_leaving:
        remove_services(has_policies=True)
        return
    say("progress", "starting the orchestrator and the gateway there, if need be")
    home = lasting_home(workspace.home, otherwise=Path("~/arena").expanduser())
    address = ensure_services(home=str(home), settings=settings)
    # The gateway wrote it when it started, but that may be long ago, and somebody may have taken the file away.
    write_gateway(Workspace(Path(address.home)).gateway, address)
    say("address", address.model_dump_json())


@click.command()
@click.argument("mode", type=click.Choice(["embedded", "attach", "detach"]))
@click.option("--home", required=True, type=click.Path(path_type=Path))
@click.option("--settings", "settings_json", required=True)
@click.option("--leash", type=int)
def main(mode: str, home: Path, settings_json: str, leash: int | None) -> None:
    """Run one of the modes; see the module's text."""
    workspace, settings = Workspace(home), Settings.model_validate_json(settings_json)
    try:
        if mode == "embedded":
            run_embedded(workspace, settings, leash=leash)
        else:
            run_attached(workspace, settings, is_leaving=mode == "detach")
    except ArenaError as exc:
        say("error", str(exc))
        sys.exit(1)
    except Exception as exc:
        say("error", f"{type(exc).__name__}: {exc}")
        raise


if __name__ == "__main__":
    main()
