from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_ray.model.errors import SpecError
from arena_ray.model.search_space import SearchSpace
from arena_ray.plugin.setting import Setting, SettingType

SPACE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)


def setting(kind: str, **keys: Any) -> Setting:
    return Setting(name="x", type=kind, **keys)


@pytest.mark.parametrize(
    ("kind", "given", "got"),
    [
        ("int", 3, 3),
        ("int", 1e5, 100_000),
        ("float", 1, 1.0),
        ("float", 0.25, 0.25),
        ("string", "a", "a"),
        ("boolean", False, False),
        ("list", (1, [2, "b"]), [1, [2, "b"]]),
        ("dict", {"a": {"b": None}}, {"a": {"b": None}}),
    ],
)
def test_a_value_of_its_type_is_taken(kind: str, given: Any, got: Any) -> None:
    fitted = setting(kind).fit(given, place="x")
    assert fitted == got
    assert type(fitted) is type(got)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("int", 2.5, "must be a whole number, not 2.5"),
        ("int", True, "must be a whole number, not True"),
        ("int", "4", "must be a whole number, not '4'"),
        ("int", float("inf"), "must be a whole number, not inf"),
        ("float", True, "must be a finite number, not True"),
        ("float", float("nan"), "must be a finite number, not nan"),
        ("float", 10**400, "must be a finite number, not 10000"),
        ("string", 3, "must be text, not 3"),
        ("boolean", "yes", "must be true or false, not 'yes'"),
        ("boolean", 0, "must be true or false, not 0"),
        ("list", "ab", "must be a list of plain values, not 'ab'"),
        ("list", [float("nan")], r"must be a list of plain values, not \[nan\]"),
        ("dict", [1], r"must be a mapping of plain values, not \[1\]"),
        ("dict", {"a": object}, "must be a mapping of plain values"),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, given: Any, message: str) -> None:
    with pytest.raises(SpecError, match=f"^x: {message}"):
        setting(kind).fit(given, place="x")


def test_an_option_is_given_as_it_is_declared() -> None:
    choice = setting("choice", options=["none", 1, False])
    assert choice.fit("none", place="x") == "none"
    assert choice.fit(1.0, place="x") == 1
    assert choice.fit(False, place="x") is False


@pytest.mark.parametrize("given", ["gird", True, [], 1.5])
def test_what_is_no_option_is_refused_with_all_options(given: Any) -> None:
    with pytest.raises(SpecError, match=f"^x: must be one of grid, 1, not {re.escape(repr(given))}$"):
        setting("choice", options=["grid", 1]).fit(given, place="x")


@pytest.mark.parametrize(
    ("keys", "given", "message"),
    [
        ({"kind": "int", "min": 2}, 1, "must be at least 2, not 1"),
        ({"kind": "float", "min": 0, "max": 0.5}, 0.6, "must be between 0 and 0.5, not 0.6"),
        ({"kind": "int", "max": 9}, 10, "must be at most 9, not 10"),
        ({"kind": "string", "min": 1}, "", "must have at least 1 character, not 0"),
        ({"kind": "list", "min": 2, "max": 2}, [1], "must have 2 items, not 1"),
        ({"kind": "list", "min": 1, "max": 3}, [], "must have between 1 and 3 items, not 0"),
    ],
)
def test_what_is_beyond_the_limits_is_refused(keys: dict[str, Any], given: Any, message: str) -> None:
    with pytest.raises(SpecError, match=f"^x: {message}$"):
        setting(**keys).fit(given, place="x")


def test_the_limits_belong_to_what_is_good() -> None:
    assert setting("float", min=0, max=0.5).fit(0, place="x") == 0.0
    assert setting("float", min=0, max=0.5).fit(0.5, place="x") == 0.5
    assert setting("list", min=2, max=2).fit([1, 2], place="x") == [1, 2]


def test_a_search_space_is_parsed_once() -> None:
    space = setting("search_space").fit(SPACE, place="x")
    assert isinstance(space, SearchSpace)
    assert setting("search_space").fit(space, place="x") is space
    with pytest.raises(SpecError, match=r"^x\.learning_rate: "):
        setting("search_space").fit({"learning_rate": {"loguniform": [1]}}, place="x")


@pytest.mark.parametrize(
    ("live", "is_relaxed", "expected"),
    [(True, True, True), (False, False, False), ("relaxed", False, True), ("relaxed", True, False)],
)
def test_another_setting_may_lift_that_a_search_space_is_live(live: Any, is_relaxed: bool, expected: bool) -> None:
    assert setting("search_space", live=live).must_be_live({"relaxed": is_relaxed}) is expected


def test_limits_are_told_for_people() -> None:
    assert setting("choice", options=["max", "min"]).limits == "max, min"
    assert setting("search_space", live=True).limits == "live"
    assert setting("search_space", live="relaxed").limits == "live unless relaxed"
    assert setting("search_space").limits == setting("int").limits == ""


def test_what_was_given_can_change_without_changing_the_value() -> None:
    given = [1, [2]]
    fitted = setting("list").fit(given, place="x")
    given[1].append(3)
    assert fitted == [1, [2]]


@given(kind=st.sampled_from(list(SettingType)), value=ANYTHING)
def test_any_value_is_taken_or_refused_and_what_is_taken_stays(kind: SettingType, value: Any) -> None:
    one = setting(kind, options=["a", 1, True] if kind is SettingType.CHOICE else [])
    with contextlib.suppress(SpecError):
        fitted = one.fit(value, place="x")
        assert one.fit(fitted, place="x") == fitted
