"""One attempt, seen by its session, with a trainer that speaks the wire and learns nothing."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from session_kit import TIMEOUT_S, advance_until, finish

from arena_ray.model.events import AttemptStarted, CheckpointSaved, EpisodeSummary, LogLine, TrainingStep
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Checkpoint
from arena_ray.model.states import AttemptOutcome, Intent
from arena_ray.runner.attempt import End, Launch
from arena_ray.runner.checkpoint_files import choose_checkpoint
from arena_ray.runner.session import Session
from arena_ray.runner.warm_pool import NoWarmStart
from arena_ray.testing import echo_trainer
from arena_runners.cleanrl import CleanRLRunner

Open = Callable[..., Session]
ENDLESS = ("--boundaries", "1000000", "--step-s", "0.01")
"""What does not end before the test has seen enough of it."""


def record(saved: CheckpointSaved) -> Checkpoint:
    return Checkpoint(
        checkpoint_id=saved.uri,
        run_id="run",
        attempt=1,
        metrics_digest="",
        created_at=datetime.now(UTC),
        **{key: value for key, value in vars(saved).items() if key not in ("is_final", "left_out")},
    )


def values(recorder) -> dict[int, float]:
    return {step.global_step: step.scalars["charts/value"] for step in recorder.events(TrainingStep)}


def test_a_run_is_reported_in_full_and_ends_completed(open_session: Open, recorder) -> None:
    end = finish(open_session("--boundaries", "11"))
    assert end == End(AttemptOutcome.COMPLETED)
    assert recorder.events(AttemptStarted)[0].boundary == 0
    assert [step.global_step for step in recorder.events(TrainingStep)] == list(range(11))
    assert [episode.episodic_return for episode in recorder.events(EpisodeSummary)] == [0.0, 5.0, 10.0]
    assert [line.text for line in recorder.events(LogLine) if line.stream == "stdout"][-1] == "boundary 10"
    assert [saved.is_final for saved in recorder.events(CheckpointSaved)] == [True]


def test_batches_are_numbered_without_a_gap(open_session: Open, recorder) -> None:
    session = open_session(*ENDLESS)
    advance_until(session, lambda: len(recorder.batches) > 2)
    recorder.intent = Intent.STOP
    finish(session)
    expected = 0
    for batch in recorder.batches:
        assert batch.first_seq == expected
        expected += len(batch.events)


def test_snapshots_are_taken_by_time(open_session: Open, recorder) -> None:
    session = open_session(*ENDLESS, every_s=0.1)
    advance_until(session, lambda: len(recorder.events(CheckpointSaved)) >= 3)


def test_a_killed_training_is_lost_and_goes_on_from_its_checkpoint_as_if_nothing_had_happened(
    open_session: Open, recorder
) -> None:
    finish(open_session("--boundaries", "60"))
    uninterrupted = values(recorder)
    recorder.batches.clear()

    session = open_session("--boundaries", "60", "--step-s", "0.5", every_s=0.1, attempt=2)
    advance_until(session, lambda: recorder.events(CheckpointSaved))
    pid = session.training_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert finish(session).outcome is AttemptOutcome.LOST
    checkpoint = record(recorder.events(CheckpointSaved)[-1])
    before = {step: value for step, value in values(recorder).items() if step < checkpoint.boundary}
    recorder.batches.clear()

    assert (
        finish(open_session("--boundaries", "60", attempt=3, checkpoint=checkpoint)).outcome is AttemptOutcome.COMPLETED
    )
    assert min(values(recorder)) == checkpoint.boundary > 0
    assert before | values(recorder) == uninterrupted


def test_a_training_killed_after_its_main_loop_gets_no_second_final_checkpoint(open_session: Open, recorder) -> None:
    finish(open_session("--boundaries", "6"))
    [final] = recorder.events(CheckpointSaved)
    assert finish(open_session("--boundaries", "6", attempt=2, checkpoint=record(final))) == End(
        AttemptOutcome.COMPLETED
    )
    assert recorder.events(CheckpointSaved) == [final]


@pytest.mark.parametrize(
    ("intent", "outcome"), [(Intent.STOP, AttemptOutcome.STOPPED), (Intent.PAUSE, AttemptOutcome.PAUSED)]
)
def test_a_stop_and_a_pause_leave_a_last_checkpoint(
    open_session: Open, recorder, intent: Intent, outcome: AttemptOutcome
) -> None:
    session = open_session(*ENDLESS)
    advance_until(session, lambda: recorder.events(TrainingStep))
    recorder.intent = intent
    assert finish(session) == End(outcome)
    last_step = recorder.events(TrainingStep)[-1].global_step
    assert [saved.boundary for saved in recorder.events(CheckpointSaved)] == [last_step + 1]


def test_stop_now_waits_for_no_boundary(open_session: Open, recorder) -> None:
    session = open_session("--boundaries", "3", "--step-s", "600")
    advance_until(session, lambda: recorder.events(TrainingStep))
    recorder.intent = Intent.STOP_NOW
    assert finish(session) == End(AttemptOutcome.STOPPED)
    assert recorder.events(CheckpointSaved) == []


def test_a_script_that_raises_fails_with_its_error_and_its_stderr(open_session: Open) -> None:
    end = finish(open_session("--raise-at", "3"))
    assert end.outcome is AttemptOutcome.FAILED
    assert end.reason is not None
    assert end.reason.startswith("RuntimeError: the echo trainer was told to raise (line 1)\nTraceback")


def test_a_script_that_exits_badly_fails_with_its_exit_code(open_session: Open) -> None:
    end = finish(open_session("--exit-at", "3", "7"))
    assert end == End(AttemptOutcome.FAILED, "the script ended with exit code 7")


def test_a_last_checkpoint_that_cannot_be_written_fails_the_run(open_session: Open, tmp_path: Path) -> None:
    session = open_session("--boundaries", "40")
    checkpoints = tmp_path / "var/training/checkpoints/a-run"
    checkpoints.rmdir()
    checkpoints.write_text("a file stands where the checkpoints should go")
    end = finish(session)
    assert end.outcome is AttemptOutcome.FAILED
    assert "the last checkpoint could not be written" in (end.reason or "")


@pytest.mark.parametrize("damage", ["truncate", "delete", "add"])
def test_a_damaged_checkpoint_is_passed_over_with_a_note(open_session: Open, recorder, damage: str) -> None:
    session = open_session(*ENDLESS, every_s=0.1)
    advance_until(session, lambda: len(recorder.events(CheckpointSaved)) >= 2)
    session.close()
    *_, before, newest = map(record, recorder.events(CheckpointSaved))
    state = Path(newest.uri) / "resume" / "state.json"
    if damage == "truncate":
        state.write_bytes(state.read_bytes()[:-1])
    elif damage == "delete":
        state.unlink()
    else:
        state.with_name("extra.pkl").write_bytes(b"not listed")
    chosen, notes = choose_checkpoint([newest, before])
    assert chosen == before
    assert len(notes) == 1
    assert newest.uri in notes[0]


LATE = """
import json, socket, sys

wire = socket.socket(fileno=int(sys.argv[1]))
lines = wire.makefile("rb")
asked = []

def send(kind, **keys):
    wire.sendall(json.dumps({"type": kind, "wall_time": 0.0, **keys}).encode() + b"\\n")

def await_snapshots(count):
    while len(asked) < count:
        command = json.loads(lines.readline())
        if command["type"] == "snapshot":
            asked.append(command["path"])

def save(path, boundary):
    place = {"boundary": boundary, "step": boundary, "ended": False}
    send("snapshot_saved", path=path, **place, digest="d", policy_digest="p", size_bytes=1, skipped=[])

send("hello", schema_version=1)
send("boundary", boundary=3, step=3)
await_snapshots(1)
send("boundary", boundary=10, step=10, held=True)
await_snapshots(2)
save(asked[0], boundary=3)
save(asked[1], boundary=10)
save(asked[1], boundary=10)
lines.read()
"""


def test_a_run_holds_only_once_the_state_in_which_it_holds_is_written_down(
    open_session: Open, recorder, tmp_path: Path
) -> None:
    trainer = tmp_path / "late.py"
    trainer.write_text(LATE)
    session = open_session(every_s=1e-9, trainer=trainer, until_step=10)
    while not session.is_holding:
        session.advance(0.1)
        assert len(recorder.events(CheckpointSaved)) < 2 or session.is_holding
    assert session.has_checkpoint_here
    for _ in range(3):
        session.advance(0.1)
    assert [saved.boundary for saved in recorder.events(CheckpointSaved)] == [3, 10], "one told of twice counts once"


def test_what_earlier_attempts_left_unfinished_is_removed(open_session: Open, tmp_path: Path) -> None:
    checkpoints = tmp_path / "var/training/checkpoints/a-run"
    names = ["000000000003-a1-2.partial", "000000000003-a1-1.older", "000000000003-a1-1", "000000000009-a2-1.partial"]
    for name in names:
        (checkpoints / name / "resume").mkdir(parents=True)
    finish(open_session("--boundaries", "2", attempt=2))
    assert {path.name for path in checkpoints.iterdir()} == {*names[2:], "000000000002-a2-1"}


TELLS = """
import json, os, signal, socket, sys

wire = socket.socket(fileno=int(sys.argv[1]))
lines = wire.makefile("rb")

def send(kind, **keys):
    wire.sendall(json.dumps({"type": kind, "wall_time": 0.0, **keys}).encode() + b"\\n")

def await_snapshot():
    while (command := json.loads(lines.readline()))["type"] != "snapshot":
        pass
    return command["path"]

def save(path):
    place = {"boundary": 3, "step": 3, "ended": True}
    send("snapshot_saved", path=path, **place, digest="d", policy_digest="p", size_bytes=1, skipped=[])

send("hello", schema_version=1)
send("boundary", boundary=3, step=3, ended=True)
"""


@pytest.fixture
def tells(open_session: Open, tmp_path: Path) -> Callable[[str], Session]:
    """Open a session whose trainer is over, and tells what is given here."""

    def make(source: str) -> Session:
        trainer = tmp_path / "tells.py"
        trainer.write_text(TELLS + source)
        return open_session(trainer=trainer)

    return make


def test_a_process_that_crashes_after_all_is_done_has_completed(tells) -> None:
    session = tells('save(await_snapshot())\nsend("bye", outcome="completed")\nos.kill(os.getpid(), signal.SIGSEGV)')
    assert finish(session) == End(AttemptOutcome.COMPLETED)


def test_an_earlier_checkpoint_that_failed_does_not_fail_a_run_whose_last_one_is_written(tells) -> None:
    session = tells(
        'send("snapshot_failed", path="earlier", boundary=2, reason="no space", errno=28)\n'
        'save(await_snapshot())\nsend("bye", outcome="completed")'
    )
    assert finish(session) == End(AttemptOutcome.COMPLETED)


@pytest.mark.parametrize("path", ["/somewhere/else", "relative", "{}/..", "{}/../../a", "{}"])
def test_a_checkpoint_that_lies_elsewhere_is_none(tells, recorder, tmp_path: Path, path: str) -> None:
    path = path.format(tmp_path / "var/training/checkpoints/a-run")
    session = tells(f'await_snapshot()\nsave({path!r})\nsend("bye", outcome="completed")')
    assert finish(session) == End(AttemptOutcome.COMPLETED)
    assert recorder.events(CheckpointSaved) == []
    assert any("does not lie in" in line.text for line in recorder.events(LogLine))


def test_a_start_has_its_time_though_a_warm_pool_has_used_it_up_in_vain(recorder, tmp_path: Path) -> None:
    waited = 0.0

    def hangs(*args: object, **keys: object) -> None:
        nonlocal waited
        waited = 10 * TIMEOUT_S
        raise NoWarmStart("it hangs")

    launch = Launch(
        run_id="run",
        attempt=1,
        command=[sys.executable, echo_trainer.__file__, "{fd}", "--boundaries", "3"],
        env=os.environ,
        files=Workspace(tmp_path).run("a-run"),
        snapshot_every_s=60.0,
        start_timeout_s=TIMEOUT_S,
        starter=hangs,
    )
    clock = lambda: time.monotonic() + waited  # noqa: E731 - it moves on with the vain attempt
    session = Session(launch, runner=CleanRLRunner(), report=recorder, clock=clock)
    session.start(None)
    assert finish(session) == End(AttemptOutcome.COMPLETED)
