"""The run actor's inside against the orchestrator's inside: a real script under the real harness, without Ray."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from holding import RUNNERS, SCRIPTS, until
from hurry import Hurry

from arena_ray.model.errors import NoMainLoop
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import RunState
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.runner import preflight
from arena_ray.scheduling.supervision import Supervision, training_environment
from arena_ray.telemetry.archive import read_log, read_metrics

PASSES = 1_200


@pytest.fixture
def hurry(tmp_path: Path) -> Hurry:
    return Hurry(tmp_path)


@pytest.fixture
def start(core: Orchestrator) -> Callable[..., Run]:
    def make(script: str = "counter.py", **flags: Any) -> Run:
        return start_in(core, script, **flags)

    return make


@pytest.fixture
def open_supervision(core: Orchestrator) -> Iterator[Callable[[Run], Supervision]]:
    opened: list[Supervision] = []

    def make(run: Run, port: Orchestrator = core) -> Supervision:
        supervision = Supervision(port, runners=RUNNERS, node="here")
        opened.append(supervision)
        supervision.start(run.run_id)
        return supervision

    yield make
    for supervision in opened:
        supervision.close()


def start_in(core: Orchestrator, script: str, *, seed: int = 1, **flags: Any) -> Run:
    keys = {"experiment": "x", "runner": "cleanrl", "script": script, "env_id": "CartPole-v1", "seed": seed}
    spec = ExperimentSpec.model_validate(keys | {"flags": flags, "checkpoint": {"every_s": 0.2}})
    return core.start(preflight.prepare(spec, base=SCRIPTS, runners=RUNNERS), force_new=True).run


def printed_cores(workspace: Workspace, run: Run) -> tuple[frozenset[int], frozenset[int]]:
    """Return the cores on which the training ran, and those of the process that it forked."""
    lines = [line["text"] for line in read_log(workspace.run(run.name).log).lines]
    [own], [forked] = ([line for line in lines if line.startswith(word)] for word in ("own ", "forked "))
    return frozenset(json.loads(own[4:])), frozenset(json.loads(forked[7:]))


def has_ended(progress: Any) -> bool:
    return progress.outcome is not None


def steps_of(workspace: Workspace, run: Run) -> list[int]:
    points = read_metrics(workspace.run(run.name).metrics)
    return [point.global_step for point in points if point.tag == "losses/weight"]


def test_a_run_is_trained_to_its_end(start, open_supervision, workspace) -> None:
    run = start(total_timesteps=50)
    progress = until(open_supervision(run), has_ended)
    assert (progress.outcome, progress.attempt) == (RunState.COMPLETED, 1)
    assert steps_of(workspace, run) == list(range(50))


def test_a_script_that_enters_its_main_loop_twice_completes_with_a_note(start, open_supervision, workspace) -> None:
    run = start("twice.py")
    assert until(open_supervision(run), has_ended).outcome is RunState.COMPLETED
    notes = [line["text"] for line in read_log(workspace.run(run.name).log).lines if line["stream"] == "arena"]
    assert any(note.startswith("checkpoint not written") for note in notes)


def test_a_killed_training_goes_on_in_the_same_actor(start, open_supervision, core, workspace, hurry) -> None:
    run = start(**hurry.flags(passes=PASSES))
    supervision = open_supervision(run)
    until(supervision, lambda progress: progress.global_step > 3 and core.assignment(run.run_id).checkpoints)
    os.kill(supervision.training_pid, signal.SIGKILL)
    hurry.now()
    progress = until(supervision, has_ended)
    assert (progress.outcome, progress.attempt) == (RunState.COMPLETED, 2)
    assert steps_of(workspace, run) == list(range(PASSES))


def test_a_training_that_is_bound_has_its_cores_to_itself(
    open_core, open_supervision, workspace, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    core = open_core(bind_cores=True)
    started = [start_in(core, "cores.py", seed=seed) for seed in (1, 2)]
    for actor in [open_supervision(run, core) for run in started]:  # the second begins while the first holds its core
        assert until(actor, has_ended).outcome is RunState.COMPLETED
    bound, child = zip(*(printed_cores(workspace, run) for run in started), strict=True)
    assert sorted(len(cores) for cores in bound) == [1, 1]
    assert not bound[0] & bound[1]
    assert set(child) == {frozenset(os.sched_getaffinity(0))}


def test_an_actor_that_was_replaced_leaves_without_a_trace(start, open_supervision, workspace, hurry) -> None:
    run = start(**hurry.flags(passes=PASSES))
    old = open_supervision(run)
    until(old, lambda progress: progress.global_step > 3)
    new = open_supervision(run)
    hurry.now()
    assert until(old, has_ended).outcome is RunState.QUEUED
    assert until(new, has_ended).outcome is RunState.COMPLETED
    assert steps_of(workspace, run) == list(range(PASSES))


def test_a_damaged_checkpoint_is_passed_over_and_noted(start, open_supervision, core, workspace, hurry) -> None:
    run = start(**hurry.flags(passes=PASSES))
    first = open_supervision(run)
    until(first, lambda _: len(core.assignment(run.run_id).checkpoints) >= 2)
    first.close()
    hurry.now()
    newest = core.assignment(run.run_id).checkpoints[0]
    state = Path(newest.uri) / "resume" / "state.pkl"
    state.write_bytes(state.read_bytes()[:-1])
    assert until(open_supervision(run), has_ended).outcome is RunState.COMPLETED
    notes = [line["text"] for line in read_log(workspace.run(run.name).log).lines if line["stream"] == "arena"]
    assert any(newest.uri in note and "the one before it is used" in note for note in notes)
    assert steps_of(workspace, run) == list(range(PASSES))


LOOPLESS = """
import signal, sys, time
print("global_step=10, episodic_return=[3.]", flush=True)
if "--deaf" in sys.argv:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
while "--on" in sys.argv:
    time.sleep(0.01)
print("global_step=20, episodic_return=[5.]")
"""


@pytest.fixture
def start_loopless(core: Orchestrator, tmp_path: Path) -> Callable[..., Run]:
    def make(*words: str) -> Run:
        (tmp_path / "loopless.py").write_text(f"import sys\nsys.argv += {words!r}\n{LOOPLESS}")
        keys = {"experiment": "x", "runner": "cleanrl", "script": "loopless.py", "env_id": "CartPole-v1"}
        submission = preflight.prepare(ExperimentSpec.model_validate(keys), base=tmp_path, runners=RUNNERS)
        return core.start(submission, force_new=True).run

    return make


def test_a_script_without_a_main_loop_runs_and_says_what_cannot_be_done(
    start_loopless, open_supervision, core, workspace
) -> None:
    run = start_loopless()
    progress = until(open_supervision(run), has_ended)
    assert (progress.outcome, progress.global_step, progress.episodic_return) == (RunState.COMPLETED, 20, 4.0)
    assert core.assignment(run.run_id).checkpoints == ()
    notes = [line["text"] for line in read_log(workspace.run(run.name).log).lines if line["stream"] == "arena"]
    assert "the script has no main loop: it cannot be paused, and a new attempt begins anew" in notes


def test_a_script_without_a_main_loop_is_not_paused_but_stopped(start_loopless, open_supervision, core) -> None:
    run = start_loopless("--on")
    supervision = open_supervision(run)
    until(supervision, lambda progress: progress.global_step == 10)
    with pytest.raises(NoMainLoop, match=r"loopless\.py has no main loop"):
        core.runs.pause(run.run_id)
    core.runs.stop(run.run_id)
    assert until(supervision, has_ended).outcome is RunState.STOPPED


def test_a_script_without_a_main_loop_that_hears_nothing_is_ended(start_loopless, open_supervision, core) -> None:
    run = start_loopless("--on", "--deaf")
    supervision = open_supervision(run)
    until(supervision, lambda progress: progress.global_step == 10)
    core.runs.stop(run.run_id)
    assert until(supervision, has_ended).outcome is RunState.STOPPED


HANGS = """
import time
class Learner:
    def train(self):
        pass
learner = Learner()
for global_step in range(20):
    learner.train()
print("evaluating", flush=True)
while True:
    time.sleep(60)
"""


def test_a_script_that_hangs_after_its_main_loop_is_ended_and_has_completed(
    open_core, open_supervision, workspace, tmp_path
) -> None:
    core = open_core(end_timeout_s=1.0)
    (tmp_path / "hangs.py").write_text(HANGS)
    keys = {"experiment": "x", "runner": "cleanrl", "script": "hangs.py", "env_id": "CartPole-v1"}
    submission = preflight.prepare(ExperimentSpec.model_validate(keys), base=tmp_path, runners=RUNNERS)
    run = core.start(submission, force_new=True).run
    assert until(open_supervision(run, core), has_ended).outcome is RunState.COMPLETED
    assert [checkpoint.is_final for checkpoint in core.assignment(run.run_id).checkpoints] == [True]
    log = read_log(workspace.run(run.name).log).lines
    assert any("nothing more was heard of the script" in line["text"] for line in log if line["stream"] == "arena")
    assert any(line["text"] == "evaluating" for line in log)


def test_what_stands_in_the_way_of_an_attempt_fails_the_run_with_its_reason(start, open_supervision, core) -> None:
    run = start(total_timesteps=10)
    bundles = core.assignment(run.run_id)
    script = Path(bundles.home) / "var/training/bundles" / bundles.revision.bundle / "counter.py"
    script.parent.mkdir(parents=True)
    script.write_text("print('not the script of the revision')")
    assert open_supervision(run).progress().outcome is RunState.FAILED
    assert "was changed after it was written" in (core.assignment(run.run_id).run.reason or "")


def test_the_training_sees_neither_ray_nor_gpus_it_did_not_reserve(start, core) -> None:
    assignment = core.assignment(start().run_id)
    env = training_environment(assignment, {"RAY_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "0,1", "HOME": "/h"})
    assert env == {"CUDA_VISIBLE_DEVICES": "", "HOME": "/h", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
