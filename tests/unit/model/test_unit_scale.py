from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_ray.model.search_space import SearchSpace
from arena_ray.model.unit_scale import from_unit, is_numeric, to_unit

SPACE = SearchSpace.parse(
    {
        "uniform": {"uniform": [-2.0, 6.0]},
        "log": {"loguniform": [1e-4, 1e-2]},
        "whole": {"randint": [1, 6]},
        "grid": {"quniform": [0.1, 0.7, 0.3]},
        "only": {"randint": [3, 4]},
    }
)


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [("uniform", 0.0, 0.25), ("log", 1e-3, 0.5), ("whole", 3, 0.5), ("grid", 0.4, 0.5), ("only", 3, 0.0)],
)
def test_a_value_has_its_place_and_a_place_its_value(name: str, value: float, place: float) -> None:
    dimension = SPACE.dimensions[name]
    assert is_numeric(dimension)
    assert to_unit(dimension, value) == pytest.approx(place)
    assert from_unit(dimension, place) == pytest.approx(value)
    assert type(from_unit(dimension, place)) is type(value)


@given(st.sampled_from(SPACE.names), st.floats(-1, 2))
def test_every_place_has_a_value_of_the_dimension(name: str, place: float) -> None:
    dimension = SPACE.dimensions[name]
    assert is_numeric(dimension)
    assert dimension.contains(from_unit(dimension, place))


@pytest.mark.parametrize(("place", "bounds"), [(0.0, [-2.0, 1e-4, 1, 0.1, 3]), (1.0, [6.0, 1e-2, 5, 0.7, 3])])
def test_the_bounds_are_met_to_the_last_bit(place: float, bounds: list[float]) -> None:
    assert [from_unit(each, place) for each in SPACE.dimensions.values()] == bounds  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "place"), [(-9, 0.0), (99, 1.0)])
def test_what_lies_outside_counts_as_the_bound(value: int, place: float) -> None:
    assert [to_unit(each, value) for name, each in SPACE.dimensions.items() if name != "only"] == [place] * 4  # type: ignore[arg-type]


def test_a_choice_has_no_places_even_of_numbers() -> None:
    assert not is_numeric(SearchSpace.parse({"x": {"choice": [1, 2]}}).dimensions["x"])
    with pytest.raises(TypeError, match="True is no number"):
        to_unit(SPACE.dimensions["whole"], True)  # type: ignore[arg-type]
