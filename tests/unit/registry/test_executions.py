from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena_ray.model.errors import IllegalTransition, NotFound, SpecError
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import ExecutionState


def test_an_execution_comes_back_as_it_was_begun(bench: Any, spec_of: Callable[..., ExperimentSpec]) -> None:
    spec = spec_of(
        project="robots",
        hyperparameters={"learning_rate": 1e-3, "layers": [64, 64], "anneal": True, "target": None},
        config={"nested": {"deep": [1, {"x": 1.5}]}},
        plugin={"name": "pbt", "settings": {"population": 4}},
        seed=7,
    )
    execution, is_new = bench.store.begin_execution(
        spec, plugin="pbt", settings={"population": 4}, digest="d", flags={"steps": 8}, script="ppo.py", bundle="b"
    )

    assert is_new
    assert bench.store.get_execution(execution.execution_id) == execution
    assert execution.spec == spec
    assert (execution.plugin, execution.settings) == ("pbt", {"population": 4})
    assert (execution.state, execution.reason) == (ExecutionState.RUNNING, None)
    assert (execution.created_at, execution.ended_at) == (bench.clock(), None)
    experiment = bench.store.get_experiment("first")
    assert (execution.experiment, execution.experiment_id) == ("first", experiment.experiment_id)
    assert experiment.project == "robots"
    source = bench.store.execution_source(execution.execution_id)
    assert (source.bundle, source.flags, source.script) == ("b", {"steps": 8}, "ppo.py")


def test_beginning_the_same_again_goes_on_with_the_unfinished_one(bench: Any) -> None:
    first, _ = bench.execute()
    bench.store.move_execution(first.execution_id, ExecutionState.PAUSED)
    again, is_new = bench.execute()

    assert not is_new
    assert (again.execution_id, again.state) == (first.execution_id, ExecutionState.PAUSED)


def test_another_digest_another_experiment_and_force_new_begin_another(bench: Any) -> None:
    first = bench.execute()
    others = [bench.execute(digest="digest-2"), bench.execute(experiment="second"), bench.execute(force_new=True)]

    assert [is_new for _, is_new in (first, *others)] == [True] * 4
    assert len({execution.execution_id for execution, _ in (first, *others)}) == 4
    assert bench.execute() == (others[-1][0], False)  # the newest goes on


@pytest.mark.parametrize("state", [state for state in ExecutionState if state.is_final])
def test_an_execution_that_has_ended_does_not_answer_for_a_new_one(bench: Any, state: ExecutionState) -> None:
    first, _ = bench.execute()
    bench.store.move_execution(first.execution_id, state)
    second, is_new = bench.execute()

    assert is_new
    assert second.execution_id != first.execution_id


def test_the_same_execution_begun_by_many_at_once_is_one(bench: Any) -> None:
    barrier, told = threading.Barrier(4), []

    def begin() -> None:
        barrier.wait()
        told.append(bench.execute())

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(is_new for _, is_new in told) == [False, False, False, True]
    assert len({execution.execution_id for execution, _ in told}) == 1


def test_a_seed_that_no_run_could_have_is_refused(bench: Any) -> None:
    with pytest.raises(SpecError, match="too large"):
        bench.execute(seed=2**63)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(ExecutionState), max_size=6))
def test_an_execution_moves_until_it_has_ended(shared_bench: Any, targets: list[ExecutionState]) -> None:
    known, _ = shared_bench.execute(force_new=True)
    for target in targets:
        shared_bench.clock.advance(1)
        if known.state.is_final and target is not known.state:
            with pytest.raises(IllegalTransition, match=f"of experiment first is {known.state} and cannot become"):
                shared_bench.store.move_execution(known.execution_id, target)
            assert shared_bench.store.get_execution(known.execution_id) == known
            continue
        moved = shared_bench.store.move_execution(known.execution_id, target, reason=str(target))
        if target is known.state:
            assert moved == known
        else:
            ended_at = shared_bench.clock() if target.is_final else None
            assert (moved.state, moved.reason, moved.ended_at) == (target, str(target), ended_at)
        known = moved


def test_executions_are_listed_oldest_first_by_experiment_and_by_state(bench: Any) -> None:
    first, _ = bench.execute()
    bench.clock.advance(-3600)
    second, _ = bench.execute(digest="digest-2")
    other, _ = bench.execute(experiment="second")
    second = bench.store.move_execution(second.execution_id, ExecutionState.FAILED, reason="no search space")
    listed = bench.store.list_executions

    assert listed() == [first, second, other]
    assert listed(experiment="first") == listed(experiment=first.experiment_id) == [first, second]
    assert listed(experiment="third") == []
    assert listed(states={ExecutionState.FAILED}) == [second]
    assert listed(experiment="first", states=[ExecutionState.RUNNING, ExecutionState.PAUSED]) == [first]
    assert listed(states=[]) == []


def test_an_execution_that_is_not_there_is_not_found(bench: Any) -> None:
    assert bench.store.get_execution("nothing") is None
    with pytest.raises(NotFound, match="no execution 'nothing'"):
        bench.store.execution_source("nothing")
    with pytest.raises(NotFound, match="no execution 'nothing'"):
        bench.store.move_execution("nothing", ExecutionState.STOPPED)
