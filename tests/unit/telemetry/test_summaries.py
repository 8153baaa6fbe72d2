from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_ray.model.events import EpisodeSummary, TookOver, TrainingStep
from arena_ray.telemetry.summaries import Gathering, Period, values_of


def test_a_period_holds_what_was_logged_before_its_end() -> None:
    gathering = Gathering(10)
    assert gathering.add(3, [("loss", 1.0), ("SPS", 7.0)]) is None
    assert gathering.add(9, [("loss", 2.0)]) is None
    assert gathering.add(10, [("loss", 3.0)]) == Period(10, {"loss": [1.0, 2.0], "SPS": [7.0]})
    assert gathering.rest() == Period(10, {"loss": [3.0]})
    assert gathering.rest() is None


def test_periods_in_which_nothing_was_logged_are_passed_over() -> None:
    gathering = Gathering(10)
    gathering.add(5, [("loss", 1.0)])
    assert gathering.add(47, [("loss", 2.0)]) == Period(10, {"loss": [1.0]})
    assert gathering.add(50, [("loss", 3.0)]) == Period(50, {"loss": [2.0]})


def test_an_attempt_that_begins_later_has_the_same_periods() -> None:
    gathering = Gathering(10, step=25)
    assert gathering.add(29, [("loss", 1.0)]) is None
    assert gathering.add(31, []) == Period(30, {"loss": [1.0]})


def test_a_step_that_goes_back_ends_no_period() -> None:
    gathering = Gathering(10)
    gathering.add(15, [("loss", 1.0)])
    assert gathering.add(2, [("eval", 5.0)]) is None
    assert gathering.rest() == Period(15, {"loss": [1.0], "eval": [5.0]})


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(allow_nan=False))), st.integers(1, 60))
def test_no_value_is_lost_and_none_is_told_twice(logged: list[tuple[int, float]], every: int) -> None:
    gathering = Gathering(every)
    periods = [gathering.add(step, [("loss", value)]) for step, value in logged]
    told = [value for period in [*periods, gathering.rest()] if period for value in period.values["loss"]]
    assert told == [value for _, value in logged]


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (TrainingStep(0, 5, {"losses/value_loss": 0.5}, 0.0), [("losses/value_loss", 0.5)]),
        (
            EpisodeSummary(0, 5, 21.0, 30.0, 0.0),
            [("Environment/Cumulative Reward", 21.0), ("Environment/Episode Length", 30.0)],
        ),
        (EpisodeSummary(0, 5, 21.0, math.nan, 0.0), [("Environment/Cumulative Reward", 21.0)]),
        (TookOver(0, 5, 1, "donor", 0.0), []),
    ],
)
def test_events_tell_numbers_by_key(event, told) -> None:
    assert list(values_of(event)) == told
