"""One run, interrupted in every way that ends its cluster, and gone on with by the same command again.

The tests share a workspace: each goes on with the run where the one before it left it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from e2e.terminal import Terminal, end, interrupt, wait_until_it_watches
from hurry import Hurry

from arena_ray.model.records import Run

PASSES = 1_200
MORE_STEPS = 10
RAY = "ray::"


@pytest.fixture(scope="module")
def hurry(terminal: Terminal) -> Hurry:
    return Hurry(terminal.directory)


@pytest.fixture(scope="module")
def words(terminal: Terminal, hurry: Hurry) -> tuple[str, ...]:
    return ("run", terminal.write("count.yaml", flags=hurry.flags(passes=PASSES)))


@contextmanager
def at_work(terminal: Terminal, *words: str) -> Iterator[tuple[subprocess.Popen[str], Run]]:
    """Give a command that trains, when its run has come further than any attempt before it."""
    before = terminal.run_of("count")
    attempt, step = (before.attempt, before.global_step) if before else (0, 0)
    process = terminal.begin(*words)

    def has_come_further(run: Run) -> bool:
        assert process.poll() is None, "the command has ended"
        return run.state == "running" and run.attempt == attempt + 1 and run.global_step > step + MORE_STEPS

    try:
        try:
            run = terminal.wait_for_run("count", has_come_further, "further")
        except AssertionError as exc:
            process.kill()
            raise AssertionError(f"{exc}: {process.communicate()}") from exc
        wait_until_it_watches(process)
        assert any(RAY in line for line in terminal.processes()), "Ray's processes would not be found"
        yield process, run
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_pauses_the_run_and_takes_the_cluster_down(terminal: Terminal, words: tuple[str, ...]) -> None:
    with at_work(terminal, *words) as (process, run):
        finished = interrupt(process)
    assert finished.code == 130
    assert f"{run.name} is paused at step" in finished.err
    assert "to go on: arena run count.yaml" in finished.err
    assert "Traceback" not in finished.err
    assert terminal.processes() == []
    assert terminal.scratch() == []
    assert terminal.run_of("count").state == "paused"


def test_the_cluster_ends_with_a_command_that_is_killed(terminal: Terminal, words: tuple[str, ...]) -> None:
    with at_work(terminal, *words) as (process, _):
        process.send_signal(signal.SIGKILL)
        terminal.wait_until_quiet()
    assert terminal.scratch() == []
    assert not terminal.workspace.gateway.exists()


def test_everything_ends_with_the_keeper_of_the_cluster(terminal: Terminal, words: tuple[str, ...]) -> None:
    with at_work(terminal, *words) as (process, run):
        keeper = json.loads(terminal.workspace.cluster.read_text())["pid"]
        os.kill(keeper, signal.SIGKILL)
        finished = end(process)
    assert finished.code == 1
    assert "error: the cluster has ended before its work" in finished.err
    assert "Traceback" not in finished.err
    terminal.wait_until_quiet()
    assert terminal.run_of("count").attempt == run.attempt


def test_the_same_command_completes_it(terminal: Terminal, words: tuple[str, ...], hurry: Hurry) -> None:
    hurry.now()
    before = terminal.run_of("count")
    finished = terminal.arena(*words)
    assert finished.code == 0, finished.err
    assert f"going on with the unfinished run {before.name}" in finished.err
    run = terminal.run_of("count")
    assert (run.state, run.attempt) == ("completed", before.attempt + 1)
    attempts = terminal.ask("show", run.name)["attempts"]
    assert [bool(attempt["resumed_from"]) for attempt in attempts] == [False, True, True, True]
    assert [attempt["outcome"] for attempt in attempts] == ["paused", "preempted", "lost", "completed"]
    [series] = terminal.ask("metrics", run.name, "--tag", "losses/weight")
    assert [step for step, _, _ in series["points"]] == list(range(PASSES))
    assert terminal.scratch() == []
