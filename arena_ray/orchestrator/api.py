"""What goes over HTTP between gateway and client, and the file by which one finds the other.

Base path ``/api/v1``; every request carries ``Authorization: Bearer TOKEN``. An error is ``{"error": ErrorBody}``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Literal, Self

from pydantic import Field, ValidationError
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from arena_ray.model.errors import NotFound
from arena_ray.model.events import LogPage as ArchivedPage
from arena_ray.model.events import MetricPoint
from arena_ray.model.records import Execution, Experiment, Measure, PolicyVersion, Record, Run
from arena_ray.model.spec import PluginCall
from arena_ray.model.states import PolicyState

BASE_PATH = "/api/v1"
REQUEST_ID_HEADER = "Arena-Request-Id"
"""Same value, same request: the gateway answers a repeated one without doing it twice."""


class SubmitRequest(Record):
    """Body of ``POST /experiments``: a prepared submission, as JSON."""

    submission: dict[str, Any]
    force_new: bool = False


class PluginRequest(Record):
    """Body of ``POST /experiments/{name}/plugins``: a plugin with its settings."""

    plugin: PluginCall
    force_new: bool = False


class SubmitReply(Record):
    """The run that trains the submission, or the plugin execution that will; the other one is null.

    ``created`` is false where an unfinished one goes on.
    """

    run: Run | None
    execution: Execution | None
    created: bool


class ReplayRequest(Record):
    """Body of ``POST /runs/{run}/replay``; without a *seed* it is that of the run's plugin execution."""

    seed: int | None = Field(default=None, ge=0)
    force_new: bool = False


class PromoteRequest(Record):
    """Body of ``POST /runs/{run}/promote``: what the revision is to be called, or null."""

    name: str | None = None


class Health(Record):
    """That the gateway answers, and who it is."""

    status: str
    version: str
    home: str
    pid: int


class Node(Record):
    """One node of the Ray cluster, with what it has and what is free."""

    node_id: str
    address: str
    is_alive: bool
    is_head: bool
    cpu: float
    gpu: float
    memory_gib: float
    cpu_free: float
    gpu_free: float


class Cluster(Record):
    """The Ray cluster behind the gateway."""

    ray_address: str
    nodes: list[Node]


class StopRequest(Record):
    """Body of a stop; ``now`` ends processes instead of waiting for their next boundaries."""

    now: bool = False


class MoveReply(Record):
    """The run after a stop, pause or resume was accepted; ``lost`` names the work that ``now`` gave up."""

    run: Run
    lost: str | None = None


class ExperimentReply(Record):
    """The experiment after a stop, pause or resume of all that it does was accepted, with its newest execution."""

    experiment: Experiment
    execution: Execution | None
    runs: list[Run]


class MetricSeries(Record):
    """One tag over time; a point is ``[global_step, value, wall_time]``, NaN is null."""

    tag: str
    points: list[tuple[int, Measure, float]]


class LogLine(TypedDict):
    """One line that the script printed; ``seq`` grows within its attempt, with gaps where it told other things."""

    seq: int
    attempt: int
    stream: str
    text: str
    wall_time: float


class LogPage(Record):
    """Lines of a log, and the ``after`` of the next page."""

    lines: list[LogLine]
    next_after: int


class DeployRequest(Record):
    """Body of ``POST /policies``: the run or checkpoint that is to answer under *name*."""

    source: str
    name: str
    select: Literal["best", "latest"] = "best"


class Policy(Record):
    """A deployed name with its versions, newest first; *url* is null where it does not answer at the moment."""

    name: str
    url: str | None
    version: int | None
    """The one that answers, or would if a cluster were up."""
    versions: list[PolicyVersion]

    @classmethod
    def of(cls, versions: list[PolicyVersion], *, url: str | None = None) -> Self:
        """Return the policy whose *versions*, newest first and at least one, these are."""
        serving = next((one.version for one in versions if one.state is PolicyState.SERVING), None)
        return cls(name=versions[0].name, url=url if serving is not None else None, version=serving, versions=versions)


class ErrorBody(Record):
    """An error: the name of its class in ``arena_ray.model.errors`` and what it says."""

    type: str
    message: str


class ErrorReply(Record):
    """Body of every answer that is not a success."""

    error: ErrorBody


class GatewayAddress(Record):
    """Where a gateway listens and the token that it asks for. Whoever can read it can start processes."""

    url: str
    token: str = Field(repr=False)
    pid: int
    ray_address: str
    home: str
    started_at: datetime


def get_gateway(path: Path) -> GatewayAddress | None:
    """Return the address stored at *path*, or None where there is none that can be read."""
    with suppress(OSError, ValidationError):
        return GatewayAddress.model_validate_json(path.read_bytes())
    return None


def write_gateway(path: Path, address: GatewayAddress) -> None:
    """Store *address* at *path*, readable by its owner only; readers see the old one or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # NamedTemporaryFile creates with mode 0600, so the token is never readable by others, not even for a moment.
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(address.model_dump_json(indent=2))
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)


def series_by_tag(
    points: Iterable[MetricPoint], *, tag: str | None = None, last: int | None = None
) -> list[MetricSeries]:
    """Group *points* into one series a tag, sorted by tag, each in the order in which it came.

    Args:
        points: Points of one run.
        tag: Only this one.
        last: Only so many points of each, at least 1, the newest.

    Raises:
        NotFound: There are points, but none with this *tag*.
    """
    series: dict[str, list[tuple[int, float, float]]] = {}
    for point in points:
        series.setdefault(point.tag, []).append((point.global_step, point.value, point.wall_time))
    if tag is not None and series:
        if tag not in series:
            raise NotFound("metric", tag, known=series)
        series = {tag: series[tag]}
    start = 0 if last is None else -last
    return [MetricSeries(tag=name, points=series[name][start:]) for name in sorted(series)]


def log_page(page: ArchivedPage) -> LogPage:
    """Return a page of the archive as it goes over HTTP."""
    return LogPage.model_validate({"lines": list(page.lines), "next_after": page.next_after})
