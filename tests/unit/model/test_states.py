from __future__ import annotations

import pytest

from arena_ray.model.states import ACTIVE_STATES, ALLOWED_MOVES, AT_WORK, FINAL_STATES, RunState, sources_of


def test_every_state_has_its_row_in_the_table() -> None:
    assert set(ALLOWED_MOVES) == set(RunState)


def test_completed_failed_and_stopped_are_final_and_no_other() -> None:
    assert {RunState.COMPLETED, RunState.FAILED, RunState.STOPPED} == FINAL_STATES
    assert {state for state in RunState if state.is_final} == FINAL_STATES


def test_a_run_is_final_active_or_paused_and_only_one_of_them() -> None:
    assert FINAL_STATES | ACTIVE_STATES | {RunState.PAUSED} == set(RunState)
    assert not FINAL_STATES & ACTIVE_STATES


@pytest.mark.parametrize("target", list(RunState))
def test_the_sources_of_a_state_are_the_states_that_allow_it(target: RunState) -> None:
    for state in RunState:
        assert (state in sources_of(target)) == (target in ALLOWED_MOVES[state])


@pytest.mark.parametrize("state", sorted(set(RunState) - FINAL_STATES))
def test_every_unfinished_run_can_be_stopped(state: RunState) -> None:
    assert RunState.STOPPED in ALLOWED_MOVES[state]


def test_a_run_completes_only_once_an_attempt_has_begun() -> None:
    assert sources_of(RunState.COMPLETED) == {RunState.STARTING, RunState.RUNNING}


def test_a_paused_run_goes_on_through_the_queue() -> None:
    assert ALLOWED_MOVES[RunState.PAUSED] == {RunState.QUEUED, RunState.STOPPED}


def test_an_attempt_begins_only_from_the_queue() -> None:
    assert sources_of(RunState.STARTING) == {RunState.QUEUED}
    for state in AT_WORK:
        assert RunState.QUEUED in ALLOWED_MOVES[state]
