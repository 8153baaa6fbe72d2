from __future__ import annotations

from typing import Any

import pytest

from arena_ray.model.errors import NotFound, RegistryError
from arena_ray.model.states import ExecutionState, ExploitOutcome, RunState


def test_a_checkpoint_comes_back_as_it_was_told(bench: Any) -> None:
    run = bench.submit()
    bench.begin(run)
    bench.clock.advance(3)
    added = bench.checkpoint(run, boundary=4, size_bytes=2**40, episodic_return=195.5, is_final=True, generation=3)

    assert bench.store.get_checkpoint(added.checkpoint_id) == added
    assert (added.run_id, added.attempt, added.boundary, added.global_step) == (run.run_id, 1, 4, 512)
    assert (added.digest, added.policy_digest, added.metrics_digest) == ("digest-4", "policy-4", "metrics-4")
    assert (added.size_bytes, added.episodic_return, added.is_final) == (2**40, 195.5, True)
    assert (added.generation, bench.checkpoint(run, boundary=5).generation) == (3, 0)
    assert added.created_at == bench.clock()


def test_checkpoints_are_listed_furthest_first_and_newer_first_at_one_boundary(bench: Any) -> None:
    run, other = bench.submit(), bench.submit()
    bench.begin(run)
    bench.begin(other)
    far = bench.checkpoint(run, boundary=9)
    near = bench.checkpoint(run, boundary=3)
    bench.checkpoint(other, boundary=99)
    bench.begin_next(run)
    again = bench.checkpoint(run, boundary=9, attempt=2)

    assert bench.store.list_checkpoints(run.run_id) == [again, far, near]


def test_the_same_checkpoint_told_twice_is_one(bench: Any) -> None:
    run = bench.submit()
    bench.begin(run)
    first = bench.checkpoint(run, boundary=2)

    assert bench.checkpoint(run, boundary=2) == first
    assert bench.checkpoint(run, boundary=2, digest="other").checkpoint_id != first.checkpoint_id


def test_a_removed_checkpoint_leaves_the_lists_and_keeps_its_row(bench: Any) -> None:
    run = bench.submit()
    bench.begin(run)
    kept, removed = bench.checkpoint(run, boundary=1), bench.checkpoint(run, boundary=2)
    bench.store.remove_checkpoint(removed.checkpoint_id, reason="keep_latest is 1")
    bench.store.remove_checkpoint(removed.checkpoint_id, reason="asked twice")

    assert bench.store.list_checkpoints(run.run_id) == [kept]
    assert bench.store.list_latest_checkpoints() == {run.run_id: kept}
    assert bench.store.get_checkpoint(removed.checkpoint_id) is None
    query = "SELECT checkpoint_id, removed_reason FROM checkpoints WHERE removed_at IS NOT NULL"
    assert bench.rows(query) == [(removed.checkpoint_id, "keep_latest is 1")]


def test_a_checkpoint_that_never_was_cannot_be_removed(bench: Any) -> None:
    with pytest.raises(NotFound, match="no checkpoint 'nothing'"):
        bench.store.remove_checkpoint("nothing", reason="why not")
    assert bench.store.get_checkpoint("nothing") is None


def test_a_checkpoint_belongs_to_an_attempt_that_was_begun(bench: Any) -> None:
    run = bench.submit()

    with pytest.raises(RegistryError, match="FOREIGN KEY"):
        bench.checkpoint(run, attempt=0)


def test_milestones_are_held_that_the_last_run_may_ask_for_until_the_execution_ends(bench: Any) -> None:
    run, other = bench.population()
    bench.milestone(other)
    ids = [bench.milestone(run, number=number).checkpoint_id for number in range(1, 7)]
    bench.checkpoint(run, boundary=99)

    assert bench.store.held_checkpoints(run.run_id) == set(ids[1:]), "the other one comes to its second next"
    bench.milestone(other, number=4)
    assert bench.store.held_checkpoints(run.run_id) == set(ids[4:])
    bench.store.move_execution(run.execution_id, ExecutionState.PAUSED)
    assert bench.store.held_checkpoints(run.run_id) == set(ids[4:])
    bench.store.move_execution(run.execution_id, ExecutionState.STOPPED)
    assert bench.store.held_checkpoints(run.run_id) == set()


@pytest.fixture
def cloning(bench: Any) -> Any:
    """A clone that is to take over a donor's checkpoint, which nothing but this holds any longer."""
    donor, clone = bench.population()
    exploit = bench.store.commit_exploit(bench.exploit(bench.milestone(clone), bench.milestone(donor, score=9.0)))
    bench.store.move_execution(donor.execution_id, ExecutionState.COMPLETED)
    return donor, clone, exploit.donor_checkpoint_id


def test_a_donors_checkpoint_is_held_until_two_of_the_clone_have_taken_it_over(bench: Any, cloning: Any) -> None:
    donor, clone, donated = cloning
    held = bench.store.held_checkpoints

    assert held(donor.run_id) == {donated}
    assert held(clone.run_id) == set()
    bench.store.settle_exploit(clone.run_id, attempt=1, generation=1, outcome=ExploitOutcome.APPLIED)
    assert held(donor.run_id) == {donated}
    taken = bench.checkpoint(clone, boundary=20, generation=1)
    assert held(donor.run_id) == {donated}
    bench.checkpoint(clone, boundary=30, generation=1)
    assert held(donor.run_id) == set()
    bench.store.remove_checkpoint(taken.checkpoint_id, reason="retention")
    assert held(donor.run_id) == {donated}


@pytest.mark.parametrize("outcome", [ExploitOutcome.FAILED, ExploitOutcome.ABANDONED])
def test_a_donors_checkpoint_is_let_go_when_the_exploit_came_to_nothing(
    bench: Any, cloning: Any, outcome: ExploitOutcome
) -> None:
    donor, clone, _ = cloning
    bench.store.settle_exploit(clone.run_id, attempt=1, generation=1, outcome=outcome)

    assert bench.store.held_checkpoints(donor.run_id) == set()


def test_a_donors_checkpoint_is_let_go_when_the_clone_has_ended(bench: Any, cloning: Any) -> None:
    donor, clone, donated = cloning

    bench.store.move_run(clone.run_id, RunState.PAUSED)
    assert bench.store.held_checkpoints(donor.run_id) == {donated}
    bench.store.move_run(clone.run_id, RunState.STOPPED)
    assert bench.store.held_checkpoints(donor.run_id) == set()
