from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_ray.model.errors import BadObservation
from arena_ray.serving.observations import MOST_IN_A_BATCH, ObservationCheck
from arena_ray.serving.spaces import Box

CHECK = ObservationCheck(Box(space="box", shape=[4], dtype="float32", low="-inf", high="inf"))
PIXELS = ObservationCheck(Box(space="box", shape=[2, 2], dtype="uint8", low=0, high=255))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


def test_one_observation_becomes_a_batch_of_one() -> None:
    array, is_batch = CHECK([0, 1.5, -2, 3])
    assert (array.shape, str(array.dtype), is_batch) == ((1, 4), "float32", False)


def test_a_batch_stays_one_even_of_one() -> None:
    array, is_batch = CHECK([[0, 1, 2, 3]])
    assert (array.shape, is_batch) == ((1, 4), True)


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ([1, 2, 3], "shape [3]"),
        (5, "shape []"),
        ([], "shape [0]"),
        ([[[1, 2, 3, 4]]], "shape [1, 1, 4]"),
        ([[1, 2, 3, 4], [1, 2]], "lists of unequal length"),
        ([1, 2, 3, "four"], "text"),
        ([1, 2, 3, None], "something that is not a number"),
        ({"a": 1}, "something that is not a number"),
        ([True, False, True, True], "truth values"),
        ([0, 0, 0, float("nan")], "NaN"),
        ([0, 0, 0, float("inf")], "an infinity"),
        ([0, 0, 0, 1e300], "a number that no float32 can hold"),
        ([0, 0, 0, 10**400], "something that is not a number"),
        ([[0, 0, 0, 0]] * (MOST_IN_A_BATCH + 1), f"a batch of {MOST_IN_A_BATCH + 1}; 1 to {MOST_IN_A_BATCH}"),
    ],
)
def test_what_does_not_fit_is_refused_with_expected_and_got(value: Any, got: str) -> None:
    with pytest.raises(BadObservation) as refused:
        CHECK(value)
    assert refused.value.expected == "float32 of shape [4], or a batch of shape [n, 4]"
    assert refused.value.got.startswith(got)
    assert str(refused.value) == f"the policy takes {refused.value.expected}; got {refused.value.got}"


@pytest.mark.parametrize(
    ("value", "got"),
    [([[0, 1], [2, 256]], "a number that no uint8 can hold"), ([[0, 1], [2, 0.5]], "numbers with a fraction")],
)
def test_whole_numbers_stay_whole_and_in_range(value: Any, got: str) -> None:
    with pytest.raises(BadObservation, match=got):
        PIXELS(value)
    assert np.array_equal(PIXELS([[0, 1], [2, 255]])[0], [[[0, 1], [2, 255]]])


@given(JSON)
def test_no_json_does_anything_but_pass_or_be_refused(value: Any) -> None:
    try:
        array, _ = CHECK(value)
    except BadObservation:
        return
    assert array.shape[1:] == (4,)
    assert np.isfinite(array).all()
