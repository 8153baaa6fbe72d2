from __future__ import annotations

from typing import Any

import pytest
from unit.scheduling.studies import NOW, execution, milestone

from arena_ray.model.errors import IllegalTransition
from arena_ray.model.records import Exploit
from arena_ray.model.schedule import Schedule
from arena_ray.model.states import ExploitCause, ExploitOutcome
from arena_ray.scheduling.execution_port import ExploitOrder, StudyRecord
from arena_ray.scheduling.scheduled import ScheduledChanges

SCHEDULE = Schedule.parse(
    [
        {"step": 0, "hyperparameters": {"lr": 0.1, "clip": 1.0}},
        {"step": 100, "hyperparameters": {"lr": 0.2}},
        {"step": 200, "hyperparameters": {"clip": 2.0}},
    ]
)


class Crew:
    """Takes down what it is told, in one list, as the registry does what is committed."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.exploits: list[Exploit] = []
        self.has_ended = False

    def commit(self, exploit: Exploit) -> ExploitOrder:
        if self.has_ended:
            raise IllegalTransition("r", state="completed", target="x", allowed=[])
        self.exploits.append(exploit)
        return ExploitOrder(exploit, None)

    def decide(self, run_id: str, order: ExploitOrder | None) -> None:
        self.told.append((run_id, order and order.exploit.hyperparameters))

    def stop(self, run_id: str, reason: str) -> None:
        self.told.append((run_id, "stop", reason))

    def give_way(self, run_id: str) -> None:
        raise AssertionError("a run with a schedule gives way to nobody")

    def is_short_of(self, run_id: str) -> bool:
        return False


def changes_of(crew: Crew) -> ScheduledChanges:
    return ScheduledChanges(crew, SCHEDULE, execution_id="e", commit=crew.commit, stop=crew.stop, clock=lambda: NOW)


@pytest.fixture
def crew() -> Crew:
    return Crew()


def test_at_each_step_the_run_takes_over_itself_with_the_values_that_hold_from_there(crew: Crew) -> None:
    changes = changes_of(crew)
    assert not changes.on_milestone(milestone("r", 1, 5.0))
    assert not changes.on_milestone(milestone("r", 2, 6.0, generation=1))
    assert crew.told == [("r", {"lr": 0.2, "clip": 1.0}), ("r", {"lr": 0.2, "clip": 2.0})]
    first, second = crew.exploits
    assert (first.run_id, first.donor_run_id, first.donor_checkpoint_id) == ("r", "r", "r1")
    assert (first.generation, first.donor_generation, first.cause) == (1, 0, ExploitCause.SCHEDULE)
    assert (second.generation, second.donor_generation) == (2, 1)
    assert second.hyperparameters_before == first.hyperparameters


def test_a_run_that_jumps_over_a_step_in_one_pass_changes_all_at_once(crew: Crew) -> None:
    changes_of(crew).on_milestone(milestone("r", 2, 5.0, boundary=2, global_step=250))
    assert crew.told == [("r", {"lr": 0.2, "clip": 2.0})]
    assert crew.exploits[0].generation == 1


def test_a_run_that_comes_by_again_is_not_told_twice(crew: Crew) -> None:
    changes = changes_of(crew)
    changes.on_milestone(milestone("r", 1, 5.0))
    changes.on_milestone(milestone("r", 1, 5.0))
    assert crew.told[1:] == [("r", None)]
    assert len(crew.exploits) == 1


@pytest.mark.parametrize("outcome", [ExploitOutcome.COMMITTED, ExploitOutcome.APPLIED, ExploitOutcome.FAILED])
def test_a_new_driver_knows_what_was_committed_before_it(crew: Crew, outcome: ExploitOutcome) -> None:
    changes_of(crew).on_milestone(milestone("r", 1, 5.0))
    committed = crew.exploits[0].model_copy(update={"outcome": outcome})
    heir = changes_of(crew)
    heir.recall(StudyRecord(execution(), (), (), (committed,)))
    heir.on_milestone(milestone("r", 1, 5.0))
    heir.on_milestone(milestone("r", 2, 5.0, generation=1))
    assert crew.told[1:] == [("r", None), ("r", {"lr": 0.2, "clip": 2.0})]
    assert [one.generation for one in crew.exploits] == [1, 2]


def test_a_run_that_holds_elsewhere_after_it_went_back_changes_there(crew: Crew) -> None:
    changes = changes_of(crew)
    changes.on_milestone(milestone("r", 1, 5.0))
    changes.on_milestone(milestone("r", 1, 5.0, boundary=11))
    assert [(one.generation, one.boundary) for one in crew.exploits] == [(1, 10), (2, 11)]


def test_a_change_that_did_not_take_hold_ends_the_run_at_the_next_one(crew: Crew) -> None:
    changes = changes_of(crew)
    changes.on_milestone(milestone("r", 1, 5.0))
    changes.on_milestone(milestone("r", 2, 5.0, generation=0))
    assert crew.told[1] == ("r", "stop", "the schedule could not be followed: its change at step 100 failed")
    assert len(crew.exploits) == 1


def test_a_step_that_was_passed_since_no_checkpoint_could_be_written_ends_the_run_too(crew: Crew) -> None:
    changes_of(crew).on_milestone(milestone("r", 2, 5.0, boundary=20, global_step=200))
    reason = "the schedule could not be followed: its state could not be written at step 100"
    assert crew.told == [("r", "stop", reason)]


def test_a_run_that_has_ended_meanwhile_is_let_go(crew: Crew) -> None:
    crew.has_ended = True
    changes_of(crew).on_milestone(milestone("r", 1, 5.0))
    assert crew.told == [("r", None)]
