"""``arena run`` on a machine where nothing is up: one command from the experiment file to the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from e2e.terminal import Terminal
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STEPS = list(range(200))
KEYS = [
    "run_id",
    "name",
    "experiment",
    "revision",
    "runner",
    "script",
    "env_id",
    "seed",
    "state",
    "attempt",
    "global_step",
    "episodic_return",
    "node",
    "resources",
    "started_at",
    "ended_at",
    "reason",
]


@pytest.fixture(scope="module")
def document(terminal: Terminal) -> dict[str, Any]:
    """What ``arena run FILE --json`` prints once the run has completed."""
    finished = terminal.arena("run", terminal.write("count.yaml"), "--json")
    assert finished.code == 0, finished.err
    return json.loads(finished.out)


def test_it_prints_the_experiment_and_its_run(document: dict[str, Any]) -> None:
    assert document["name"] == "count"
    [run] = document["runs"]
    assert run.keys() >= set(KEYS)
    assert run["state"] == "completed"
    assert (run["run_id"], run["attempt"], run["global_step"]) == (document["run_id"], 1, 199)
    assert run["episodic_return"] > 0
    assert run["started_at"] < run["ended_at"]
    assert run["reason"] is None


def test_it_leaves_nothing_of_the_cluster(terminal: Terminal, document: dict[str, Any]) -> None:
    assert terminal.processes() == []
    assert terminal.scratch() == []
    assert not terminal.workspace.gateway.exists()
    assert not terminal.workspace.cluster.exists()


def test_what_it_did_can_be_read_without_a_cluster(terminal: Terminal, document: dict[str, Any]) -> None:
    [run] = document["runs"]
    assert terminal.ask("runs") == [run]
    assert terminal.ask("show", "count")["runs"] == [run]
    shown = terminal.ask("show", run["name"])
    assert {key: shown[key] for key in run} == run
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["completed"]
    checkpoints = terminal.ask("checkpoints", run["name"])
    assert checkpoints == shown["checkpoints"]
    assert checkpoints[0]["is_final"]
    assert Path(checkpoints[0]["uri"]).is_dir()
    [series] = terminal.ask("metrics", run["name"], "--tag", "losses/weight")
    assert [step for step, _, _ in series["points"]] == STEPS
    printed = terminal.arena("logs", run["name"]).out
    assert "devices '' threads 1" in printed
    assert "done" in printed
    assert terminal.processes() == []


def test_tensorboard_reads_the_run_s_one_directory(terminal: Terminal, document: dict[str, Any]) -> None:
    directory = terminal.ask("show", document["run_id"])["files"]["tensorboard"]
    written = {str(path.parent) for path in terminal.directory.rglob("events.out.tfevents*")}
    assert written == {directory}
    accumulator = EventAccumulator(directory, size_guidance={"scalars": 0})
    accumulator.Reload()
    assert [event.step for event in accumulator.Scalars("losses/weight")] == STEPS
