from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_ray.model.events import decode_number, encode_number


@given(value=st.floats())
def test_every_number_survives_strict_json_bit_for_bit(value: float) -> None:
    back = decode_number(json.loads(json.dumps(encode_number(value), allow_nan=False)))
    assert math.isnan(back) if math.isnan(value) else (back, math.copysign(1, back)) == (value, math.copysign(1, value))


def test_a_word_is_no_number() -> None:
    with pytest.raises(ValueError, match="'much' is not a number"):
        decode_number("much")
