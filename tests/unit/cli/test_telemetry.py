from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from arena_ray.model.events import LogLine, TrainingStep
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.model.states import RunState
from arena_ray.orchestrator.api import GatewayAddress
from arena_ray.registry.store import Store
from arena_ray.telemetry.archive import ArchiveWriter, encode_event

if TYPE_CHECKING:
    from conftest import AddRun, Arena


@pytest.fixture
def run(add_run: AddRun, workspace: Workspace) -> Run:
    """A run at work that has printed three lines and logged two tags."""
    run = add_run(state=RunState.RUNNING)
    print_lines(workspace, run, "one", "two", "three")
    metrics = ArchiveWriter.open(workspace.run(run.name).metrics)
    for boundary, loss in enumerate([0.5, 0.25, math.nan]):
        event = TrainingStep(boundary, boundary * 10, {"losses/value": loss, "charts/SPS": 100.0}, 1000.0)
        metrics.append([encode_event(event, seq=boundary, attempt=1)])
    metrics.close()
    return run


def print_lines(workspace: Workspace, run: Run, *texts: str) -> None:
    log = ArchiveWriter.open(workspace.run(run.name).log)
    log.append([encode_event(LogLine("stdout", text, 1000.0), seq=0, attempt=1) for text in texts])
    log.close()


def test_logs_prints_what_the_script_printed(arena: Arena, run: Run) -> None:
    assert arena("logs", run.name).stdout == "one\ntwo\nthree\n"


def test_logs_can_begin_near_the_end(arena: Arena, run: Run) -> None:
    assert arena("logs", run.name, "--last", 2).stdout == "two\nthree\n"
    assert arena("logs", run.name, "--last", 0).stdout == ""


def test_logs_as_json_is_a_list_of_lines(arena: Arena, run: Run) -> None:
    lines = json.loads(arena("logs", run.name, "--json").stdout)
    assert [line["text"] for line in lines] == ["one", "two", "three"]
    assert lines[0].keys() == {"seq", "attempt", "stream", "text", "wall_time"}


def test_the_log_of_a_run_that_has_not_begun_is_empty(arena: Arena, add_run: AddRun) -> None:
    run = add_run(seed=9)
    assert json.loads(arena("logs", run.name, "--json").stdout) == []
    assert json.loads(arena("metrics", run.name, "--json").stdout) == []


def test_following_without_a_cluster_ends_and_says_why(arena: Arena, run: Run) -> None:
    result = arena("logs", run.name, "-f")
    assert result.stdout == "one\ntwo\nthree\n"
    assert "no cluster is up" in result.stderr


@pytest.mark.parametrize(("last", "expected"), [((), "one\ntwo\nthree\nfour\n"), (("--last", 1), "three\nfour\n")])
def test_following_prints_lines_as_they_come_until_the_run_ends(
    arena_process: Callable[..., subprocess.Popen[str]],
    run: Run,
    store: Store,
    workspace: Workspace,
    gateway: GatewayAddress,
    last: tuple[object, ...],
    expected: str,
) -> None:
    process = arena_process("logs", run.name, "-f", *last)
    first = process.stdout.readline()
    print_lines(workspace, run, "four")
    store.move_run(run.run_id, RunState.COMPLETED, attempt=1)
    assert first + process.stdout.read() == expected


def test_metrics_has_a_line_a_tag(arena: Arena, run: Run) -> None:
    header, sps, loss = arena("metrics", run.name).stdout.splitlines()
    assert header.split() == ["TAG", "VALUES", "LAST", "STEP", "LAST", "MIN", "MAX"]
    assert sps.split() == ["charts/SPS", "3", "20", "100", "100", "100"]
    assert loss.split() == ["losses/value", "3", "20", "-", "0.25", "0.5"]


def test_metrics_as_json_writes_nan_as_null(arena: Arena, run: Run) -> None:
    _, loss = json.loads(arena("metrics", run.name, "--json").stdout)
    assert loss["tag"] == "losses/value"
    assert [point[:2] for point in loss["points"]] == [[0, 0.5], [10, 0.25], [20, None]]


def test_metrics_of_one_tag_prints_its_last_values(arena: Arena, run: Run) -> None:
    lines = arena("metrics", run.name, "--tag", "losses/value", "--last", 2).stdout.splitlines()
    assert [line.split() for line in lines] == [["STEP", "losses/value".upper()], ["10", "0.25"], ["20", "-"]]


def test_an_unknown_tag_is_an_error_that_names_the_nearest(arena: Arena, run: Run) -> None:
    result = arena("metrics", run.name, "--tag", "losses/valu")
    assert result.exit_code == 1
    assert "did you mean 'losses/value'" in result.stderr
