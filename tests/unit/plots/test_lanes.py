from __future__ import annotations

import math

import pytest
from lineages import execution_of, exploit_of, lineage_of, member, milestone, race, scheduled

from arena_ray.model.errors import SpecError
from arena_ray.model.records import Lineage
from arena_ray.model.states import ExploitOutcome, RunState
from arena_ray.plots.lanes import Lanes, Piece


def reached(number: int, step: int, score: float) -> object:
    return milestone(number, score, at=step // 10_000).model_copy(update={"global_step": step})


def judged() -> Lineage:
    """The race with its milestones; run 2 had its weights from what run 0 had reached at step 10,240."""
    found = race()
    milestones = [
        reached(0, 10_240, 214.0),
        reached(2, 20_480, 61.0),
        reached(2, 40_960, 333.0),
        reached(1, 40_960, 101.0),
    ]
    first = found.exploits[0].model_copy(update={"donor_milestone": 1})
    return found.model_copy(update={"milestones": milestones, "exploits": [first, found.exploits[1]]})


def test_lanes_are_ordered_as_the_runs_are_ranked() -> None:
    assert [run.member for run in Lanes(race()).runs] == [1, 2, 0, 3]


def test_a_lane_has_a_piece_for_each_stretch_between_milestones_with_the_score_at_its_end() -> None:
    pieces = Lanes(judged()).pieces()
    assert [piece for piece in pieces if piece.lane == 1] == [
        Piece(1, 0, 20_480, 61.0),
        Piece(1, 20_480, 40_960, 333.0),
        Piece(1, 40_960, 100_352, 480.0),
    ]
    assert [piece.value for piece in pieces if piece.lane == 3] == [9.5]


def test_what_was_not_measured_has_no_value() -> None:
    lineage = lineage_of(member(0, math.nan), milestones=[milestone(0, math.nan, at=50)])
    assert [(piece.end, piece.value) for piece in Lanes(lineage).pieces()] == [(50, None), (100_352, None)]


def test_by_a_hyperparameter_a_lane_has_a_piece_for_each_of_its_values() -> None:
    pieces = Lanes(race(), colour="learning_rate").pieces()
    assert pieces == [
        Piece(0, 0, 40_960, 0.00031),
        Piece(0, 40_960, 100_352, 0.0005),
        Piece(1, 0, 20_480, 0.00031),
        Piece(1, 20_480, 100_352, 0.00037),
        Piece(2, 0, 100_352, 0.002),
        Piece(3, 0, 3000, 0.001),
    ]
    assert [piece.value for piece in Lanes(scheduled(), colour="learning_rate").pieces()] == [0.00031, 0.00037]


def test_an_exploit_that_was_not_applied_changes_no_value() -> None:
    lineage = lineage_of(member(0, 9.0), member(1, 1.0), exploits=[exploit_of(1, 0, outcome=ExploitOutcome.FAILED)])
    [piece] = [one for one in Lanes(lineage, colour="learning_rate").pieces() if one.lane == 1]
    assert (piece.end, piece.value) == (100_352, 0.00031)


def test_the_way_leads_over_the_lanes_on_which_the_best_run_s_weights_were_trained() -> None:
    lanes = Lanes(judged())
    assert lanes.way() == [Piece(2, 0, 10_240), Piece(1, 20_480, 40_960), Piece(0, 40_960, 100_352)]
    assert [(one.donor, one.receiver) for one in lanes.passings()] == [
        ((10_240, 2), (20_480, 1)),
        ((40_960, 1), (40_960, 0)),
    ]
    assert all(one.is_on_the_way for one in lanes.passings())


def test_an_exploit_besides_the_way_is_known_as_such() -> None:
    found = race()
    lanes = Lanes(found.model_copy(update={"exploits": [*found.exploits, exploit_of(0, 2, step=80_000)]}))
    assert [one.is_on_the_way for one in lanes.passings()] == [True, True, False]


def test_while_nothing_has_completed_there_is_no_way() -> None:
    lineage = lineage_of(member(0, 5.0, RunState.RUNNING))
    assert (Lanes(lineage).way(), Lanes(lineage).passings()) == ([], [])


@pytest.mark.parametrize(
    ("lineage", "colour", "said"),
    [
        (race().model_copy(update={"execution": None}), "score", "experiment race has no plugin"),
        (lineage_of(execution=execution_of()), "score", "has started no run yet"),
        (race(), "learning_rat", "cannot colour by 'learning_rat'; did you mean 'learning_rate'"),
    ],
)
def test_what_cannot_be_drawn_is_told(lineage: Lineage, colour: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Lanes(lineage, colour=colour)
