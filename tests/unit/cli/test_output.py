from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_ray.cli.output import figure, moment, plain, print_json, print_table, printable, span


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "-"),
        (0.0, "0"),
        (37.5, "37.5"),
        (1e-4, "0.0001"),
        (123456.7, "123,457"),
    ],
)
def test_a_figure_is_short_and_a_missing_one_a_dash(value: float | None, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_a_span_has_the_two_units_that_count(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_moment_is_the_same_whatever_zone_it_was_written_in() -> None:
    at = datetime(2025, 1, 1, 12, tzinfo=UTC)
    assert moment(at) == moment(at.astimezone(timezone(timedelta(hours=5)))) == moment(at.replace(tzinfo=None))
    assert moment(None) == "-"


def test_nan_and_infinity_become_null_at_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [math.nan, {"b": (math.inf, 1.5)}]})
    assert json.loads(capsys.readouterr().out) == {"a": [None, {"b": [None, 1.5]}]}
    assert plain({"at": 1}) == {"at": 1}


def test_columns_of_a_table_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"run": "a", "state": "x"}, {"run": "long-name", "state": "y"}], empty="none")
    assert capsys.readouterr().out == "RUN        STATE\na          x\nlong-name  y\n"


def test_an_empty_table_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([], empty="nothing here")
    assert capsys.readouterr().out == "nothing here\n"


def test_of_a_progress_bar_the_last_drawing_is_what_can_be_printed() -> None:
    assert printable("\r 1%\r\x1b[32m 50%\x1b[0m\r") == " 50%"


@given(st.text())
def test_what_can_be_printed_has_no_control_characters(text: str) -> None:
    assert all(char.isprintable() for char in printable(text))
