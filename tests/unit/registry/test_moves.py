from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena_ray.model.errors import ArenaError, IllegalTransition, NotFound, StaleAttempt
from arena_ray.model.states import ALLOWED_MOVES, FINAL_STATES, AttemptOutcome, Intent, RunState
from arena_ray.registry.store import Store


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*RunState, "begin"]), max_size=12))
def test_any_sequence_of_moves_goes_as_the_table_says(shared_bench: Any, steps: list[Any]) -> None:
    run, state, attempt = shared_bench.submit(), RunState.QUEUED, 0

    def carry_out(step: Any) -> object:
        if step == "begin":
            return shared_bench.begin(run)
        return shared_bench.store.move_run(run.run_id, step, reason="law")

    for step in steps:
        target = RunState.STARTING if step == "begin" else step
        if target in ALLOWED_MOVES[state]:
            carry_out(step)
            state, attempt = target, attempt + (step == "begin")
        else:
            with pytest.raises(IllegalTransition, match=f"is {state} and cannot become {target};"):
                carry_out(step)
        known = shared_bench.store.require_run(run.run_id)
        assert (known.state, known.attempt) == (state, attempt)
        assert (known.ended_at is not None) == (state in FINAL_STATES)


@pytest.mark.parametrize("final", sorted(FINAL_STATES))
def test_final_is_final(bench: Any, final: RunState) -> None:
    run = bench.submit()
    bench.begin(run)
    ended = bench.store.move_run(run.run_id, final, reason="the end")
    bench.clock.advance(1)
    changes: list[Callable[[], object]] = [
        *(lambda target=target: bench.store.move_run(run.run_id, target) for target in RunState),
        *(lambda intent=intent: bench.store.request(run.run_id, intent) for intent in Intent),
        lambda: bench.begin(run),
        lambda: bench.progress(run),
    ]
    for change in changes:
        with pytest.raises(IllegalTransition, match="nothing: it has ended"):
            change()

    assert bench.store.require_run(run.run_id) == ended


def test_of_two_stores_that_race_for_a_move_one_wins(bench: Any) -> None:
    with Store.open(f"sqlite:///{bench.path}") as other:
        for _ in range(15):
            told: list[Any] = []
            run, barrier = bench.submit(), threading.Barrier(2)

            def race(store: Store, run: Any = run, barrier: Any = barrier, told: Any = told) -> None:
                barrier.wait()
                try:
                    told.append(store.move_run(run.run_id, RunState.PAUSED).state)
                except ArenaError as exc:
                    told.append(type(exc))

            threads = [threading.Thread(target=race, args=(store,)) for store in (bench.store, other)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

            assert sorted(told, key=str) == [IllegalTransition, RunState.PAUSED]


def test_of_those_that_begin_an_attempt_at_once_one_does(bench: Any) -> None:
    run, barrier, numbers = bench.submit(), threading.Barrier(6), []

    def begin() -> None:
        barrier.wait()
        with suppress(IllegalTransition):
            numbers.append(bench.begin(run))

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert numbers == [one.number for one in bench.store.list_attempts(run.run_id)] == [1]


def test_a_move_replaces_the_reason_and_none_clears_it(bench: Any) -> None:
    run = bench.submit()

    bench.begin(run)
    assert bench.store.move_run(run.run_id, RunState.QUEUED, reason="preempted").reason == "preempted"
    assert bench.store.move_run(run.run_id, RunState.PAUSED).reason is None


@pytest.mark.parametrize("target", [*sorted(FINAL_STATES), RunState.PAUSED, RunState.QUEUED])
def test_what_the_user_asked_for_is_settled_when_the_run_comes_to_rest(bench: Any, target: RunState) -> None:
    run = bench.submit()
    bench.begin(run)
    bench.store.request(run.run_id, Intent.STOP)

    assert bench.store.move_run(run.run_id, target).intent is Intent.NONE


def test_what_the_user_asked_for_outlives_another_attempt(bench: Any) -> None:
    run = bench.submit()
    bench.store.request(run.run_id, Intent.STOP)
    bench.begin(run)

    assert bench.progress(run) is Intent.STOP


def test_a_run_starts_with_its_first_attempt_and_keeps_that_time(bench: Any) -> None:
    run = bench.submit()
    bench.clock.advance(5)
    first = bench.store.begin_attempt(run.run_id, node="node-a", resumed_from=None)
    bench.clock.advance(5)
    bench.begin_next(run, node="node-b", resumed_from="checkpoint-1")
    second = bench.store.list_attempts(run.run_id)[-1]
    known = bench.store.require_run(run.run_id)

    assert known.started_at == first.started_at
    assert (known.attempt, known.node, known.state) == (2, "node-b", RunState.STARTING)
    assert (second.number, second.node, second.resumed_from) == (2, "node-b", "checkpoint-1")
    assert second.started_at == bench.clock()


@pytest.mark.parametrize(
    "write",
    [
        lambda bench, run: bench.progress(run, attempt=1),
        lambda bench, run: bench.checkpoint(run, attempt=1),
        lambda bench, run: bench.store.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.COMPLETED),
        lambda bench, run: bench.store.move_run(run.run_id, RunState.COMPLETED, attempt=1),
    ],
    ids=["progress", "checkpoint", "end", "move"],
)
def test_a_stale_attempt_changes_nothing(bench: Any, write: Callable[[Any, Any], object]) -> None:
    run = bench.submit()
    bench.begin(run)
    bench.begin_next(run)
    before = bench.store.require_run(run.run_id), bench.store.list_attempts(run.run_id)

    with pytest.raises(StaleAttempt, match="attempt 2 has taken over") as caught:
        write(bench, run)

    assert (caught.value.attempt, caught.value.current) == (1, 2)
    assert (bench.store.require_run(run.run_id), bench.store.list_attempts(run.run_id)) == before
    assert bench.store.list_checkpoints(run.run_id) == []


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.move_run("nobody", RunState.STOPPED),
        lambda store: store.begin_attempt("nobody", node="n", resumed_from=None),
        lambda store: store.end_attempt("nobody", attempt=1, outcome=AttemptOutcome.LOST),
        lambda store: store.request("nobody", Intent.STOP),
    ],
    ids=["move", "begin", "end", "request"],
)
def test_a_run_that_is_not_there_is_not_found(bench: Any, write: Callable[[Store], object]) -> None:
    with pytest.raises(NotFound, match="no run 'nobody'"):
        write(bench.store)


def test_the_first_progress_makes_a_starting_run_run(bench: Any) -> None:
    run = bench.submit()
    bench.begin(run)

    assert bench.progress(run, global_step=256, episodic_return=21.5, steps_per_second=900.0) is Intent.NONE
    known = bench.store.require_run(run.run_id)
    assert known.state is RunState.RUNNING
    assert (known.global_step, known.episodic_return, known.steps_per_second) == (256, 21.5, 900.0)


def test_progress_of_a_run_that_is_queued_again_is_refused(bench: Any) -> None:
    run = bench.submit()
    bench.begin(run)
    bench.store.move_run(run.run_id, RunState.QUEUED, reason="node lost")

    with pytest.raises(IllegalTransition, match="is queued"):
        bench.progress(run)
    assert bench.store.require_run(run.run_id).reason == "node lost"


def test_nan_and_infinity_survive_the_way_through_the_registry(bench: Any) -> None:
    run = bench.submit()
    bench.begin(run)
    bench.progress(run, episodic_return=math.nan, steps_per_second=math.inf)
    known = bench.store.require_run(run.run_id)

    assert math.isnan(known.episodic_return)
    assert known.steps_per_second == math.inf
    assert bench.rows("SELECT episodic_return FROM runs") == [(None,)]
    assert math.isnan(bench.checkpoint(run, episodic_return=math.nan).episodic_return)
    assert bench.rows("SELECT episodic_return FROM checkpoints") == [(None,)]


def test_the_strongest_wish_stays_until_it_is_withdrawn(bench: Any) -> None:
    run = bench.submit()
    wishes = [Intent.PAUSE, Intent.STOP, Intent.PAUSE, Intent.STOP_NOW, Intent.STOP, Intent.NONE, Intent.PAUSE]

    in_force = [bench.store.request(run.run_id, wish).intent for wish in wishes]

    stop, now = Intent.STOP, Intent.STOP_NOW
    assert in_force == [Intent.PAUSE, stop, stop, now, now, Intent.NONE, Intent.PAUSE]


def test_a_wish_may_bring_its_reason_and_the_first_one_stays(bench: Any) -> None:
    run_id = bench.submit().run_id

    assert bench.store.request(run_id, Intent.PAUSE).reason is None
    for intent, reason in ((Intent.STOP, "first"), (Intent.STOP, "again"), (Intent.PAUSE, "weaker")):
        assert bench.store.request(run_id, intent, reason=reason).reason == "first"


def test_a_paused_run_can_be_asked_to_stop_but_not_to_pause(bench: Any) -> None:
    run = bench.submit()
    bench.store.move_run(run.run_id, RunState.PAUSED)

    with pytest.raises(IllegalTransition, match="is paused and cannot become paused"):
        bench.store.request(run.run_id, Intent.PAUSE)
    assert bench.store.request(run.run_id, Intent.STOP).intent is Intent.STOP


def test_an_attempt_ends_once(bench: Any) -> None:
    run = bench.submit()
    bench.begin(run)
    bench.store.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.FAILED, reason="exit code 1")
    bench.clock.advance(1)
    (ended,) = bench.store.list_attempts(run.run_id)

    bench.store.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.FAILED, reason="told twice")
    with pytest.raises(IllegalTransition, match="attempt 1, is failed and cannot become completed"):
        bench.store.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.COMPLETED)

    assert bench.store.list_attempts(run.run_id) == [ended]
    assert (ended.outcome, ended.reason) == (AttemptOutcome.FAILED, "exit code 1")
    assert bench.store.require_run(run.run_id).state is RunState.STARTING


def test_a_reason_may_hold_whatever_a_process_printed(bench: Any) -> None:
    run = bench.submit()
    printed = b"bad \xff byte, \x00 and \xe2\x82\xac".decode(errors="surrogateescape")

    assert bench.store.move_run(run.run_id, RunState.FAILED, reason=printed).reason == "bad ? byte, \ufffd and €"


def _attempts(bench: Any, *history: tuple[AttemptOutcome | None, str | None]) -> int:
    run = bench.submit()
    for outcome, resumed_from in history:
        number = bench.begin(run, resumed_from=resumed_from)
        if outcome is not None:
            bench.store.end_attempt(run.run_id, attempt=number, outcome=outcome)
            bench.store.move_run(run.run_id, RunState.QUEUED)
    streak: int = bench.store.lost_streak(run.run_id)
    return streak


def test_a_streak_counts_losses_without_progress(bench: Any) -> None:
    lost, paused = AttemptOutcome.LOST, AttemptOutcome.PAUSED

    assert _attempts(bench) == 0
    assert _attempts(bench, (lost, None)) == 1
    assert _attempts(bench, (lost, None), (lost, None), (lost, None)) == 3
    assert _attempts(bench, (lost, None), (lost, None), (lost, "c1")) == 1
    assert _attempts(bench, (lost, "c1"), (paused, "c1"), (lost, "c1"), (lost, "c1")) == 2
    assert _attempts(bench, (lost, "c1"), (paused, "c1")) == 0
    assert _attempts(bench, (lost, "c1"), (lost, "c1"), (None, "c1")) == 2


def test_a_streak_passes_over_attempts_that_gave_way_to_another_run(bench: Any) -> None:
    lost, preempted = AttemptOutcome.LOST, AttemptOutcome.PREEMPTED

    assert _attempts(bench, (lost, "c1"), (preempted, "c1"), (lost, "c1"), (preempted, "c1")) == 2
    assert _attempts(bench, (lost, "c1"), (preempted, "c1"), (lost, "c2")) == 1
