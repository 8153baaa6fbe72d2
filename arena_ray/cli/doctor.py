"""``arena doctor``: looks for what would keep runs from working, and says what mends it."""

from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Literal

import click

from arena_ray.cli.access import workspace
from arena_ray.cli.output import output_options, print_json
from arena_ray.model.errors import ArenaError, RegistryError, SettingsError

if TYPE_CHECKING:
    from arena_ray.model.paths import Workspace

_PACKAGES = ("ray", "torch", "gymnasium")
_LEAST_PYTHON = (3, 11)
_GATEWAY_TIMEOUT_S = 3.0
_DISK_FAIL_GB, _DISK_WARN_GB = 1.0, 5.0


@dataclass(frozen=True)
class Finding:
    """What one check found; ``remedy`` is what to do, empty where nothing is to be done."""

    check: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str = ""


@click.command()
@click.option("--runner", metavar="RUNNER", help="Check this runner and its own environment, and nothing else.")
@output_options
def doctor(runner: str | None, as_json: bool) -> None:
    """Check this machine and workspace.

    Each line says what was found and, where something is wrong, what mends it. The exit code is 1 if a check fails.
    """
    from arena_ray.cli.runner_checks import check_runner

    checks = CHECKS if runner is None else (partial(check_runner, runner),)
    findings = [finding for check in checks for finding in check(workspace())]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            click.echo(f"{finding.status.ljust(4)}  {finding.check.ljust(width)}  {finding.detail}")
            if finding.remedy:
                click.echo(f"      {' ' * width}  -> {finding.remedy}")
    if any(finding.status == "fail" for finding in findings):
        click.get_current_context().exit(1)


def check_python(_: Workspace) -> Iterator[Finding]:
    """Whether this Python is new enough."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= _LEAST_PYTHON:
        yield Finding("python", "ok", version)
    else:
        least = ".".join(map(str, _LEAST_PYTHON))
        yield Finding("python", "fail", f"{version} is too old", f"install Python {least} or newer")


def check_packages(_: Workspace) -> Iterator[Finding]:
    """Whether what runs need is installed; looked up, not imported, for that takes seconds."""
    for package in _PACKAGES:
        try:
            yield Finding(package, "ok", metadata.version(package))
        except metadata.PackageNotFoundError:
            yield Finding(package, "fail", "not installed", f"pip install {package}, or pip install arena_ray again")


def check_settings(place: Workspace) -> Iterator[Finding]:
    """Whether the settings can be read."""
    from arena_ray.model.settings import load_settings

    try:
        sources = load_settings(place)[1]
    except SettingsError as exc:
        yield Finding("settings", "fail", str(exc), f"mend {place.settings} or the ARENA_* variable")
    else:
        changed = [each.name for each in sources if each.source != "default"]
        yield Finding("settings", "ok", f"changed: {', '.join(changed) or 'none'}")


def check_disk(place: Workspace) -> Iterator[Finding]:
    """Whether the workspace's disk has room for checkpoints."""
    free_gb = shutil.disk_usage(_existing(place.training)).free / 1e9
    status: Literal["ok", "warn", "fail"] = "ok"
    if free_gb < _DISK_WARN_GB:
        status = "fail" if free_gb < _DISK_FAIL_GB else "warn"
    remedy = "" if status == "ok" else f"free some space; checkpoints lie in {place.training / 'checkpoints'}"
    yield Finding("disk", status, f"{free_gb:.1f} GB free", remedy)


def check_workspace(place: Workspace) -> Iterator[Finding]:
    """Whether files can be made in the workspace."""
    directory = next(path for path in (place.training, *place.training.parents) if path.exists())
    if not directory.is_dir():
        yield Finding("workspace", "fail", f"{directory} is not a directory", f"move {directory} away")
        return
    try:
        with TemporaryFile(dir=directory):
            yield Finding("workspace", "ok", str(place.home))
    except OSError as exc:
        remedy = f"chown or chmod {directory}, or point ARENA_HOME at a directory of yours"
        yield Finding("workspace", "fail", f"{directory} cannot be written: {exc.strerror}", remedy)


def check_registry(place: Workspace) -> Iterator[Finding]:
    """Whether the registry can be read."""
    from arena_ray.orchestrator.reader import RegistryReader

    if not place.registry.exists():
        yield Finding("registry", "ok", "none yet; 'arena run FILE' makes it")
        return
    try:
        with RegistryReader(place) as reader:
            yield Finding("registry", "ok", f"{place.registry}, runs: {len(reader.runs())}")
    except RegistryError as exc:
        yield Finding("registry", "fail", str(exc), f"see who may read {place.registry}, or put a copy back")


def check_gateway(place: Workspace) -> Iterator[Finding]:
    """Whether the gateway that the workspace knows of answers, and only its owner can read its token."""
    from arena_ray.orchestrator.api import get_gateway
    from arena_ray.orchestrator.reader import is_running_here

    if not place.gateway.exists():
        yield Finding("gateway", "ok", "no cluster is up; 'arena up' starts one")
        return
    if stat.S_IMODE(place.gateway.stat().st_mode) & 0o077:
        yield Finding("gateway token", "warn", "others can read it", f"chmod 600 {place.gateway}")
    address = get_gateway(place.gateway)
    if address is None:
        yield Finding("gateway", "warn", f"{place.gateway} cannot be read", "arena down, then arena up")
        return
    if is_running_here(address) is False:
        detail = f"{place.gateway} is stale: process {address.pid} is gone"
        yield Finding("gateway", "warn", detail, "arena down, which removes it")
        return
    from arena_ray.orchestrator.client import ArenaClient

    with ArenaClient(address, timeout_s=_GATEWAY_TIMEOUT_S, retry_s=0.0) as client:
        try:
            client.health()
        except ArenaError as exc:
            yield Finding("gateway", "warn", f"{place.gateway} is stale: {exc}", "arena down, which removes it")
        else:
            yield Finding("gateway", "ok", f"answers at {address.url}")


def check_runners(_: Workspace) -> Iterator[Finding]:
    """Whether all runners that are installed can be loaded."""
    from arena_ray.cli.runners import listed_runners

    for listed in listed_runners():
        if listed.problem:
            yield Finding(
                "runner",
                "warn",
                f"{listed.name}: {listed.problem.strip().splitlines()[-1]}",
                "arena runners shows all of it; install it again, or remove it",
            )
        else:
            yield Finding("runner", "ok", f"{listed.name}, {len(listed.scripts)} scripts")


def check_stats_writers(_: Workspace) -> Iterator[Finding]:
    """Which stats writers runs will have; none is loaded here."""
    from arena_ray.plugin.writer_discovery import find_writers

    installed = find_writers()
    for source in installed.sources:
        yield Finding("stats writer", "ok", f"{source} ({source.value})")
    for note in installed.notes:
        yield Finding("stats writer", "warn", note, "see which groups there are in docs/how-to/write-stats.md")


def check_warm_pool(_: Workspace) -> Iterator[Finding]:
    """What the processes hold from which trainings are forked."""
    from arena_ray.runner.warm_pool import servers

    for server in servers():
        held = f"process {server.pid}, {server.memory_bytes / 2**20:.0f} MiB, imported {', '.join(server.modules)}"
        yield Finding("warm pool", "ok", held)


CHECKS: tuple[Callable[[Workspace], Iterator[Finding]], ...] = (
    check_python,
    check_packages,
    check_settings,
    check_disk,
    check_workspace,
    check_registry,
    check_gateway,
    check_runners,
    check_stats_writers,
    check_warm_pool,
)


def _existing(path: Path) -> Path:
    """Return the nearest directory above *path*, or itself, that is there."""
    return next(parent for parent in (path, *path.parents) if parent.is_dir())
