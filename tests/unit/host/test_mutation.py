"""Random changes to configurations."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_ray.host.mutation import mutate
from arena_ray.model.errors import PluginMistake

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(st.dictionaries(st.text(max_size=5), NUMBERS), st.floats(0, 1), st.text(max_size=5))
def test_each_number_changes_by_the_rate_at_most_and_the_same_again(base: dict, rate: float, seed: str) -> None:
    changed = mutate(base, rate, seed=seed)
    assert changed == mutate(base, rate, seed=seed)
    assert list(changed) == list(base)
    for name, value in base.items():
        assert abs(changed[name] - value) <= abs(value) * rate + 2 * math.ulp(value)


def test_what_is_within_changes_too_and_what_is_no_number_stays() -> None:
    base = {"net": {"layers": [64, 64], "name": "mlp"}, "anneal": True, "nothing": None, "steps": 100}
    changed = mutate(base, 0.5, seed="s")
    assert changed["net"]["layers"] != base["net"]["layers"]
    assert all(isinstance(value, int) for value in (*changed["net"]["layers"], changed["steps"]))
    assert (changed["net"]["name"], changed["anneal"], changed["nothing"]) == ("mlp", True, None)
    assert mutate(base, 0.5, seed="t") != changed


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_beyond_its_range_is_refused(rate: float) -> None:
    with pytest.raises(PluginMistake, match="rate is between 0 and 1"):
        mutate({}, rate, seed="")
