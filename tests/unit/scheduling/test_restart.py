"""How runs start anew for what is fixed while their script runs, and what becomes of it where they cannot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from arena_ray.model.records import Checkpoint, Exploit
from arena_ray.model.states import AttemptOutcome, ExploitCause, ExploitOutcome
from arena_ray.runner.attempt import End, Progress
from arena_ray.runner.protocol import MainLoop, ScriptArgument, ScriptReport
from arena_ray.runner.takeover import TakeoverRefused
from arena_ray.scheduling import hold as holding
from arena_ray.scheduling.execution_port import ExploitOrder
from arena_ray.scheduling.hold import Hold
from arena_ray.scheduling.milestones import Course, Milestones
from arena_ray.scheduling.port import Assignment
from arena_ray.scheduling.restart import Entry, History, Restart, find_entry, fixed_changes

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REPORT = ScriptReport(
    main_loop=MainLoop(5, 9, "<module>", "for"),
    arguments=(
        ScriptArgument("total_timesteps", "int", 1000),
        ScriptArgument("num_steps", "int", 128, fixed_line=3, fixed_why="uses it before the main loop"),
        ScriptArgument("learning_rate", "float", 0.1),
    ),
    holders=("args",),
)
APPLIED, FAILED, ABANDONED = ExploitOutcome.APPLIED, ExploitOutcome.FAILED, ExploitOutcome.ABANDONED


def checkpoint(boundary: int = 4, generation: int = 0) -> Checkpoint:
    return Checkpoint(
        checkpoint_id=f"c{boundary}",
        run_id="clone",
        attempt=1,
        boundary=boundary,
        global_step=boundary * 100,
        uri="/nowhere",
        digest="",
        policy_digest="",
        metrics_digest="",
        size_bytes=0,
        generation=generation,
        created_at=NOW,
    )


def order(generation: int = 1, *, boundary: int = 4, **hyperparameters: Any) -> ExploitOrder:
    exploit = Exploit(
        execution_id="e",
        run_id="clone",
        generation=generation,
        milestone=1,
        boundary=boundary,
        global_step=boundary * 100,
        score=0,
        donor_run_id="donor",
        donor_generation=0,
        donor_milestone=1,
        donor_checkpoint_id="d",
        donor_digest="",
        donor_score=1,
        hyperparameters_before={},
        hyperparameters=hyperparameters,
        cause=ExploitCause.QUANTILE,
        created_at=NOW,
    )
    return ExploitOrder(exploit, checkpoint())


def entry(at: Checkpoint | None, *orders: ExploitOrder, **flags: Any) -> Entry:
    assignment = SimpleNamespace(revision=SimpleNamespace(flags=flags), exploits=orders)
    return find_entry(cast("Assignment", assignment), at, REPORT)


def test_what_is_fixed_and_differs_is_a_change() -> None:
    values = {"num_steps": 256, "learning_rate": 0.2}
    assert fixed_changes(REPORT, values, flags={"num_steps": 64}) == {"num_steps": (64, 256)}
    assert fixed_changes(REPORT, values, flags={}) == {"num_steps": (128, 256)}
    assert fixed_changes(REPORT, {"num_steps": 128}, flags={}) == {}


def test_an_attempt_starts_with_the_flags_of_the_generation_that_it_goes_on_from() -> None:
    orders = [order(1, boundary=4, num_steps=256), order(3, boundary=8, num_steps=64, learning_rate=0.3)]
    assert entry(None, *orders, num_steps=32) == Entry({"num_steps": 32})
    assert entry(checkpoint(5, 1), *orders, num_steps=32) == Entry({"num_steps": 256})
    assert entry(checkpoint(8, 3), *orders) == Entry({"num_steps": 64, "learning_rate": 0.3})


def test_it_starts_anew_where_an_exploit_is_due_that_changes_what_is_fixed() -> None:
    orders = [order(1, boundary=4, num_steps=256, total_timesteps=500), order(2, boundary=8, num_steps=64)]
    found = entry(checkpoint(4), *orders, num_steps=32)
    assert found.flags == {"num_steps": 256, "total_timesteps": 500}
    assert found.seek
    assert found.seek.total_steps == 500
    assert found.notes == [
        "starts anew with num_steps 32 → 256: this cannot be changed while the script runs; resume is warm"
    ]
    assert entry(checkpoint(8, 1), *orders).restart == Restart(orders[1], {"num_steps": (256, 64)})


@pytest.mark.parametrize(
    ("at", "waiting"),
    [
        (checkpoint(3), order(num_steps=256)),
        (checkpoint(4), order(num_steps=128)),
        (checkpoint(4), order(learning_rate=0.2)),
        (checkpoint(4), replace(order(num_steps=256), checkpoint=None)),
    ],
)
def test_else_it_goes_on_as_it_was(at: Checkpoint, waiting: ExploitOrder) -> None:
    assert entry(at, waiting) == Entry({})


class FakeSession:
    """A training that holds."""

    def __init__(self) -> None:
        self.progress = Progress(4, 400, 1.0)
        self.generation = 0
        self.is_holding = self.has_checkpoint_here = True
        self.refusal: str | None = None
        self.done: list[str] = []

    def take_over(self, takeover: Any) -> bool:
        if self.refusal is not None:
            raise TakeoverRefused(self.refusal)
        self.generation = takeover.generation
        self.done.append("took over")
        return True

    def request_snapshot(self) -> None:
        self.done.append("saved")

    def go_on(self, until_step: int | None) -> None:
        self.done.append(f"went on until {until_step}")


class World:
    """A hold with everything around it."""

    def __init__(self) -> None:
        self.session = FakeSession()
        self.history = History()
        self.settled: list[tuple[ExploitOutcome, str | None]] = []

    def settle_exploit(self, run_id: str, *, outcome: ExploitOutcome, reason: str | None, **_: object) -> None:
        self.settled.append((outcome, reason))

    def hold(self, entry: Entry) -> Hold:
        return Hold(
            cast("Any", self),
            cast("Any", self.session),
            run_id="clone",
            attempt=1,
            course=Course(Milestones(interval=300)),
            script=REPORT,
            entry=entry,
            history=self.history,
            orders=[],
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(holding, "verify_checkpoint", lambda path, *, digest: None)
    return World()


WAITING = order(num_steps=256, learning_rate=0.2)
BEFORE, ANEW = Entry({}), entry(checkpoint(), WAITING)


def test_a_run_ends_its_attempt_to_start_anew(world: World) -> None:
    hold = world.hold(BEFORE)
    hold.end(WAITING)
    assert hold.departure == End(
        AttemptOutcome.PREEMPTED, "starts anew with num_steps 256: generation 1 from run donor"
    )
    assert (world.settled, world.session.done) == ([], [])


def test_started_anew_it_takes_over_and_is_saved_at_once(world: World) -> None:
    hold = world.hold(ANEW)
    hold.end(None)  # whatever was decided: there is nothing else to train with
    assert world.settled == [(APPLIED, "warm restart: num_steps 128 → 256")]
    assert world.session.done == ["took over", "saved", "went on until 600"]
    assert hold.judge(End(AttemptOutcome.FAILED, "later")) == End(AttemptOutcome.FAILED, "later")


def test_with_nothing_to_go_back_to_it_does_not_start_anew(world: World) -> None:
    world.session.has_checkpoint_here = False
    hold = world.hold(BEFORE)
    hold.end(WAITING)
    reason = "could not start anew with num_steps 128 → 256: the state here could not be written down"
    assert world.settled == [(FAILED, reason)]
    assert world.session.done == ["went on until 600"]
    assert hold.departure is None


def test_it_does_not_leave_for_ever(world: World) -> None:
    for _ in range(2):
        (hold := world.hold(BEFORE)).end(WAITING)
        assert hold.departure
    world.hold(BEFORE).end(WAITING)
    assert world.settled == [(FAILED, "could not start anew with num_steps 128 → 256: that was tried 2 times")]


def test_weights_that_do_not_fit_send_it_back_to_its_own(world: World) -> None:
    world.session.refusal = "too wide"
    hold = world.hold(ANEW)
    hold.end(None)
    reason = "could not start anew with num_steps 128 → 256: too wide"
    assert world.settled == [(FAILED, reason)]
    assert hold.departure == End(AttemptOutcome.PREEMPTED, reason)
    assert world.session.done == []
    assert world.history.decided_at == (4, 0)


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (End(AttemptOutcome.FAILED, "ValueError: no\nand more"), "ValueError: no"),
        (End(AttemptOutcome.COMPLETED), "the script ended before its main loop"),
    ],
)
def test_a_script_that_does_not_start_with_the_new_flags_does_not_end_the_run(world: World, end: End, why: str) -> None:
    reason = f"could not start anew with num_steps 128 → 256: {why}"
    assert world.hold(ANEW).judge(end) == End(AttemptOutcome.PREEMPTED, reason)
    assert world.settled == [(FAILED, reason)]


def test_a_start_that_is_lost_is_tried_once_more(world: World) -> None:
    end = End(AttemptOutcome.LOST, "killed by SIGKILL")
    assert world.hold(ANEW).judge(end) == end
    assert world.settled == []
    assert world.hold(ANEW).judge(end) == end
    assert world.settled == [(FAILED, "could not start anew with num_steps 128 → 256: killed by SIGKILL")]


@pytest.mark.parametrize("outcome", [AttemptOutcome.STOPPED, AttemptOutcome.PAUSED])
def test_what_the_user_wants_is_no_failure(world: World, outcome: AttemptOutcome) -> None:
    assert world.hold(ANEW).judge(End(outcome)) == End(outcome)
    assert world.settled == []
