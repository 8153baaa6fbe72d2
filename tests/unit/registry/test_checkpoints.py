from __future__ import annotations

from typing import Any

import pytest

from arena_ray.model.errors import NotFound, RegistryError


def test_a_checkpoint_comes_back_as_it_was_told(bench: Any) -> None:
    run = bench.submit()
    bench.begin(run)
    bench.clock.advance(3)
    added = bench.checkpoint(run, boundary=4, size_bytes=2**40, episodic_return=195.5, is_final=True)

    assert bench.store.get_checkpoint(added.checkpoint_id) == added
    assert (added.run_id, added.attempt, added.boundary, added.global_step) == (run.run_id, 1, 4, 512)
    assert (added.digest, added.policy_digest, added.metrics_digest) == ("digest-4", "policy-4", "metrics-4")
    assert (added.size_bytes, added.episodic_return, added.is_final) == (2**40, 195.5, True)
    assert added.created_at == bench.clock()


def test_checkpoints_are_listed_furthest_first_and_newer_first_at_one_boundary(bench: Any) -> None:
    run, other = bench.submit(), bench.submit()
    bench.begin(run)
    bench.begin(other)
    far = bench.checkpoint(run, boundary=9)
    near = bench.checkpoint(run, boundary=3)
    bench.checkpoint(other, boundary=99)
    bench.begin(run)
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
