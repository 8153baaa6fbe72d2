"""Sessions of a run actor with a trainer that learns nothing, and what they report."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from arena_ray.model.events import Batch, Event
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Checkpoint
from arena_ray.model.states import Intent
from arena_ray.runner.attempt import End, Launch
from arena_ray.runner.session import Session
from arena_ray.testing import echo_trainer
from arena_runners.cleanrl import CleanRLRunner

TIMEOUT_S = 120.0


class Recorder:
    """Keeps every batch; answers with the intent of the moment."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.intent = Intent.NONE

    def __call__(self, batch: Batch) -> Intent:
        self.batches.append(batch)
        return self.intent

    def events(self, kind: type[Event]) -> list[Event]:
        return [event for batch in self.batches for event in batch.events if isinstance(event, kind)]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def open_session(tmp_path: Path, recorder: Recorder) -> Iterator[Callable[..., Session]]:
    sessions: list[Session] = []

    def make(
        *flags: str,
        attempt: int = 1,
        every_s: float = 60.0,
        checkpoint: Checkpoint | None = None,
        trainer: Path = Path(echo_trainer.__file__),
        until_step: int | None = None,
    ) -> Session:
        launch = Launch(
            run_id="run",
            attempt=attempt,
            command=[sys.executable, str(trainer), "{fd}", *flags],
            env=os.environ,
            files=Workspace(tmp_path).run("a-run"),
            snapshot_every_s=every_s,
            start_timeout_s=TIMEOUT_S,
        )
        session = Session(launch, runner=CleanRLRunner(), report=recorder)
        session.start(checkpoint, until_step=until_step)
        sessions.append(session)
        return session

    yield make
    for session in sessions:
        session.close()


def advance_until(session: Session, condition: Callable[[], object]) -> None:
    """Let the training go on until *condition* holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert session.advance(0.05) is None, "it has ended before"
        assert time.monotonic() < deadline, f"it did not come true within {TIMEOUT_S:g} s"


def finish(session: Session) -> End:
    """Let the training go on to its end."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if end := session.advance(0.1):
            return end
    raise AssertionError(f"the session did not end within {TIMEOUT_S:g} s")
