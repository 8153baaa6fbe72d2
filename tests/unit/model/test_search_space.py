"""Search spaces: how they are written, drawn from, moved in, and what is said of one that is wrong."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena_ray.model.errors import SpecError
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import FlagValue
from arena_ray.model.yaml_lines import parse_located

EVERY_KIND = """
learning_rate: {loguniform: [1e-5, 1e-2]}
gamma: {uniform: [0.9, 0.9999]}
batch_size: {quniform: [32, 256, 32]}
tau: {quniform: [0.1, 1, 0.1]}
update_epochs: {randint: [1, 9]}
clip_vloss: {choice: [true, false]}
hidden: {choice: [[64, 64], [256]]}
optimizer: {choice: [adam, sgd]}
momentum: {uniform: [0, 1], when: {optimizer: sgd}}
nesterov: {choice: [true, false], when: {optimizer: [sgd], momentum_kind: [plain, none]}}
momentum_kind: {choice: [plain, none], when: {optimizer: [sgd]}}
"""


def from_yaml(text: str) -> SearchSpace:
    return SearchSpace.parse(parse_located(text, source="space").data)


def perturbed(space: SearchSpace, values: Mapping[str, FlagValue], factor: float, *, seed: int = 0) -> dict[str, Any]:
    return space.perturb(values, factors=(factor,), resample_probability=0.0, rng=random.Random(seed))


class Recording:
    """An Optuna trial that takes the highest value, or the last, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> Any:
        self.asked[name] = (low, high, step, log)
        return high

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> Any:
        self.asked[name] = (low, high, step)
        return high

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        self.asked[name] = choices
        return choices[-1]


def test_values_are_drawn_of_every_kind_within_their_bounds_and_of_their_types() -> None:
    space, rng = from_yaml(EVERY_KIND), random.Random(0)
    drawn = [space.sample(rng) for _ in range(300)]
    assert all(map(space.contains, drawn))
    assert {type(one["learning_rate"]) for one in drawn} == {float}
    assert {one["batch_size"] for one in drawn} == set(range(32, 257, 32))
    assert {one["tau"] for one in drawn} == {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0}
    assert {one["update_epochs"] for one in drawn} == set(range(1, 9))  # the upper bound is not among them
    assert {type(one["update_epochs"]) for one in drawn} == {type(one["batch_size"]) for one in drawn} == {int}
    assert {type(one["clip_vloss"]) for one in drawn} == {bool}


def test_orders_of_magnitude_are_alike_on_a_logarithmic_dimension() -> None:
    space, rng = SearchSpace.parse({"x": {"loguniform": [1e-4, 1.0]}}), random.Random(1)
    below = sum(space.sample(rng)["x"] < 1e-2 for _ in range(1000))  # type: ignore[operator]
    assert 450 < below < 550


def test_the_same_seed_draws_the_same() -> None:
    space = from_yaml(EVERY_KIND)
    assert space.sample(random.Random(7)) == space.sample(random.Random(7))
    assert list(space.sample(random.Random(7))) == [
        name for name in space.names if name in space.sample(random.Random(7))
    ]


def test_a_conditional_dimension_is_there_only_where_its_condition_holds() -> None:
    space, rng = from_yaml(EVERY_KIND), random.Random(0)
    for values in (space.sample(rng) for _ in range(100)):
        assert ("momentum" in values) == ("momentum_kind" in values) == (values["optimizer"] == "sgd")
        assert ("nesterov" in values) == ("momentum_kind" in values)


@pytest.mark.parametrize(
    ("dimension", "value", "factor", "moved"),
    [
        ({"loguniform": [1e-5, 1e-2]}, 1e-3, 1.2, 1.2e-3),
        ({"loguniform": [1e-5, 1e-2]}, 9e-3, 1.2, 1e-2),
        ({"uniform": [0, 1]}, 0.5, 0.8, 0.4),
        ({"uniform": [0, 1]}, 0.0, 1.2, 0.2),  # no factor moves a 0, so a share of the range does
        ({"uniform": [-1, 1]}, -0.5, 1.2, -0.4),
        ({"uniform": [0.9, 1.0]}, 0.95, 0.8, 0.93),  # a share of the range, not of 0.95
        ({"randint": [0, 10]}, 0, 1.2, 1),
        ({"randint": [0, 10]}, 0, 0.8, 0),
        ({"randint": [0, 10]}, 3, 1.2, 4),
        ({"randint": [0, 10]}, 9, 1.2, 9),
        ({"randint": [0, 1000]}, 500, 1.2, 600),
        ({"quniform": [32, 256, 32]}, 64, 1.2, 96),
        ({"quniform": [0.1, 1.0, 0.1]}, 0.2, 1.2, 0.3),
        ({"choice": [256, 4, 8]}, 8, 1.2, 256),
        ({"choice": [256, 4, 8]}, 8, 0.8, 4),
        ({"choice": [256, 4, 8]}, 4, 0.8, 4),
        ({"choice": ["a", "b"]}, "a", 0.8, "b"),
        ({"choice": [True, False]}, True, 1.2, False),
        ({"choice": ["only"]}, "only", 1.2, "only"),
    ],
)
def test_a_value_moves_by_a_factor_and_stays_in_its_dimension(
    dimension: dict[str, Any], value: FlagValue, factor: float, moved: Any
) -> None:
    result = perturbed(SearchSpace.parse({"x": dimension}), {"x": value}, factor)["x"]
    assert result == pytest.approx(moved) if isinstance(moved, float) else result == moved
    assert type(result) is type(moved)


def test_a_dimension_appears_and_vanishes_with_what_it_depends_on() -> None:
    space = SearchSpace.parse({"on": {"choice": [True, False]}, "x": {"uniform": [0, 1], "when": {"on": True}}})
    assert perturbed(space, {"on": True, "x": 0.5}, 1.2) == {"on": False}
    assert space.contains(perturbed(space, {"on": False}, 1.2))
    assert "x" in perturbed(space, {"on": False}, 1.2)


def test_what_lies_outside_is_drawn_and_what_is_no_dimension_is_left_alone() -> None:
    space = SearchSpace.parse({"x": {"uniform": [0, 1]}, "n": {"randint": [1, 3]}})
    moved = perturbed(space, {"x": 7.0, "other": "kept"}, 1.2)
    assert moved["other"] == "kept"
    assert space.contains(moved)


def test_each_value_is_drawn_anew_with_the_given_probability() -> None:
    space, rng = SearchSpace.parse({"x": {"uniform": [0, 1]}}), random.Random(0)
    moved = [space.perturb({"x": 0.5}, factors=(1.2, 0.8), resample_probability=0.25, rng=rng)["x"] for _ in range(400)]
    assert 260 < sum(one in (0.6, 0.4) for one in moved) < 340
    assert all(space.contains({"x": one}) for one in moved)


@pytest.mark.parametrize(
    "values", [{}, {"x": 0}, {"x": 3}, {"x": 1.5}, {"x": True}, {"x": None}, {"x": "1"}, {"x": [1]}, {"y": 1}]
)
def test_what_a_dimension_does_not_have_is_not_contained(values: dict[str, FlagValue]) -> None:
    assert not SearchSpace.parse({"x": {"randint": [1, 3]}}).contains(values)


def test_one_and_true_are_two_values() -> None:
    assert not SearchSpace.parse({"x": {"choice": [1, 2]}}).contains({"x": True})
    assert SearchSpace.parse({"x": {"choice": [1, True]}}).contains({"x": 1.0})


def test_a_grid_has_each_combination_once() -> None:
    space = SearchSpace.parse(
        {"b": {"choice": [8, 4]}, "n": {"randint": [0, 2]}, "q": {"quniform": [0, 0.3, 0.1], "when": {"n": 1}}}
    )
    grid = list(space.grid())
    assert grid[:2] == [{"b": 4, "n": 0}, {"b": 4, "n": 1, "q": 0.0}]
    assert [one["q"] for one in grid if "q" in one] == [0.0, 0.1, 0.2, 0.3] * 2
    assert len(grid) == 10
    assert all(map(space.contains, grid))


def test_a_grid_of_what_cannot_be_counted_is_refused() -> None:
    space = SearchSpace.parse({"a": {"uniform": [0, 1]}, "b": {"loguniform": [1, 2]}, "c": {"choice": [1]}})
    with pytest.raises(SpecError) as caught:
        space.grid()
    first, second = str(caught.value).splitlines()
    assert first == "param_space.a: uniform has no countable values; a grid needs choice, randint or quniform"
    assert second.startswith("param_space.b: loguniform")


def test_a_grid_is_made_as_it_is_asked_for() -> None:
    space = SearchSpace.parse({"a": {"randint": [0, 10**18]}})
    assert [one["a"] for one in itertools.islice(space.grid(), 3)] == [0, 1, 2]


def test_a_trial_is_asked_in_its_own_terms_and_only_for_what_is_active() -> None:
    trial, space = Recording(), from_yaml(EVERY_KIND)
    suggested = space.suggest(trial)
    assert trial.asked["learning_rate"] == (1e-5, 1e-2, None, True)
    assert trial.asked["gamma"] == (0.9, 0.9999, None, False)
    assert trial.asked["batch_size"] == (32, 256, 32)
    assert trial.asked["tau"] == (0.1, 1.0, 0.1, False)
    assert trial.asked["update_epochs"] == (1, 8, 1)
    assert suggested["hidden"] == [256]
    assert space.contains(suggested)
    assert "momentum" in suggested


def test_a_grid_that_does_not_end_at_its_bound_asks_up_to_its_last_value() -> None:
    trial = Recording()
    assert SearchSpace.parse({"x": {"quniform": [0, 1, 0.3]}}).suggest(trial) == {"x": 0.9}
    assert trial.asked["x"] == (0.0, 0.9, 0.3, False)


def test_optuna_itself_suggests_what_the_space_contains() -> None:
    space = from_yaml(EVERY_KIND)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(10):
        assert space.contains(space.suggest(study.ask()))


reals = st.floats(-1e6, 1e6) | st.integers(-1000, 1000)
wholes = st.integers(-1000, 1000)
scalars = st.none() | st.booleans() | wholes | reals | st.text(max_size=5)
options = st.lists(scalars | st.lists(scalars, max_size=2), min_size=1, max_size=4)


def bounds(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(numbers, min_size=2, max_size=2, unique=True).map(sorted)


dimensions = st.one_of(
    bounds(reals).map(lambda pair: {"uniform": pair}),
    bounds(st.floats(1e-12, 1e6)).map(lambda pair: {"loguniform": pair}),
    st.tuples(wholes, wholes, st.integers(1, 20)).map(lambda one: {"quniform": [*sorted(one[:2]), one[2]]}),
    st.tuples(reals, reals, st.floats(0.01, 20)).map(lambda one: {"quniform": [*sorted(one[:2]), one[2]]}),
    bounds(wholes).map(lambda pair: {"randint": pair}),
    options.map(lambda values: {"choice": values}),
)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    data: dict[str, Any] = {name: draw(dimensions) for name in draw(st.sets(st.sampled_from("abcd"), min_size=1))}
    data["switch"] = {"choice": [True, False, "x"]}
    for name in [*data][:-1]:
        if draw(st.booleans()):
            data[name]["when"] = {"switch": draw(st.sampled_from([True, [False, "x"]]))}
    try:
        return SearchSpace.parse(data)
    except SpecError:  # a step that does not fit, an option twice
        return SearchSpace.parse({"switch": data["switch"]})


def is_whole(space: SearchSpace, name: str) -> bool:
    numbers = space.dimensions[name].arguments()
    return space.dimensions[name].kind in ("randint", "quniform") and all(type(one) is int for one in numbers)


@settings(max_examples=60, deadline=None)
@given(space=spaces(), seed=st.integers(0, 99), factors=st.sampled_from([(1.2, 0.8), (2.0, 0.5), (1.0,), (0.0, 9.0)]))
def test_samples_and_whatever_they_are_moved_to_are_contained(
    space: SearchSpace, seed: int, factors: tuple[float, ...]
) -> None:
    rng = random.Random(seed)
    values = space.sample(rng)
    for _ in range(4):
        assert space.contains(values)
        assert all(type(value) is int for name, value in values.items() if is_whole(space, name))
        values = space.perturb(values, factors=factors, resample_probability=0.2, rng=rng)


@settings(max_examples=60, deadline=None)
@given(low=wholes, count=st.integers(1, 50), at=st.integers(0, 49), factor=st.sampled_from([1.2, 0.8, 1.01, 0.99]))
def test_whole_numbers_move_by_one_at_least_unless_at_the_bound(low: int, count: int, at: int, factor: float) -> None:
    value, high = low + at % count, low + count
    moved = perturbed(SearchSpace.parse({"n": {"randint": [low, high]}}), {"n": value}, factor)["n"]
    assert low <= moved < high
    assert type(moved) is int
    if factor > 1:
        assert moved > value or value == high - 1
    else:
        assert moved < value or value == low


@settings(max_examples=60, deadline=None)
@given(space=spaces())
def test_a_space_survives_being_written(space: SearchSpace) -> None:
    assert SearchSpace.parse(space.to_data()) == space
    assert SearchSpace.model_validate_json(space.model_dump_json()) == space
