"""How a search space is written, and what is said of one that is written wrongly."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena_ray.model.errors import SpecError
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.yaml_lines import parse_located


def complaints(data: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        SearchSpace.parse(data)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("dimension", "said"),
    [
        ({"loguniform": [0, 1]}, "loguniform needs two numbers above 0, low < high (got [0, 1])"),
        ({"loguniform": ["1e-4", 1]}, "loguniform needs two numbers above 0, low < high (got ['1e-4', 1])"),
        ({"uniform": [1, 0]}, "uniform needs two numbers, low < high (got [1, 0])"),
        ({"uniform": [0, True]}, "uniform needs two numbers, low < high (got [0, True])"),
        ({"uniform": [0, float("inf")]}, "uniform needs two numbers, low < high (got [0, inf])"),
        ({"uniform": 3}, "uniform needs two numbers, low < high (got 3)"),
        ({"uniform": [10**17, 10**17 + 1]}, "uniform needs two numbers, low < high (got "),
        ({"randint": [1, 2.5]}, "randint needs two whole numbers, low < high, of which high itself is never drawn"),
        ({"randint": [3, 3]}, "randint needs two whole numbers"),
        ({"quniform": [0, 1]}, "quniform needs three numbers, low < high and a step above 0 that fits between them"),
        ({"quniform": [0, 1, 2]}, "quniform needs three numbers"),
        ({"quniform": [0, 1, 0]}, "quniform needs three numbers"),
        ({"choice": []}, "choice needs a list of at least one value, such as [32, 64] (got [])"),
        ({"choice": "adam"}, "choice needs a list"),
        ({"choice": [{"a": 1}]}, "choice needs a list"),
        ({"choice": [1, 2, 1.0]}, "choice has 1.0 twice; take one out"),
        ({"logunifrom": [1, 2]}, "'logunifrom' is no kind of dimension; did you mean 'loguniform'?"),
        ({3: [1, 2]}, "3 is no kind of dimension; known: choice, loguniform"),
        ({}, "one kind is needed (got none); known: choice, loguniform, quniform, randint, uniform"),
        ({"choice": [1], "uniform": [0, 1]}, "one kind is needed (got choice and uniform)"),
        ([1, 2], "a dimension is a mapping of its kind to its values, such as {choice: [1, 2]}"),
        ({"choice": [1], "when": 3}, "'when' is a mapping of another dimension to its values"),
        ({"choice": [1], "when": {"n": []}}, "'when' gives 'n' no value or list of values (got [])"),
        ({"choice": [1], "when": {"m": 1}}, "'when' names 'm', which is no dimension here; did you mean"),
        ({"choice": [1], "when": {"x": 1}}, "its 'when' leads back to itself by way of 'x'; take one of them out"),
        ({"choice": [1], "when": {"n": 7}}, "'when' waits for n to be 7, which it never is (choice: [1, 2])"),
        ({"choice": ["\ud800"]}, "choice needs a list of at least one value"),
        ({"choice": [10**5000]}, "choice needs a list of at least one value"),
    ],
)
def test_a_mistake_names_the_dimension_what_is_wrong_and_what_to_do(dimension: Any, said: str) -> None:
    [line] = complaints({"x": dimension, "n": {"choice": [1, 2]}, "mm": {"choice": [1]}})
    assert line.startswith("param_space.x: ")
    assert said in line


@pytest.mark.parametrize("data", [None, [], {}, "x", 3])
def test_what_is_no_mapping_of_dimensions_is_refused(data: Any) -> None:
    [line] = complaints(data)
    assert line.startswith("param_space: a mapping of hyperparameters to dimensions is expected")


def test_all_mistakes_are_told_at_once_under_the_name_of_their_place() -> None:
    data = {"a": {"uniform": [2, 1]}, 7: {}, "b": {"choice": [1], "when": {"a": 3}}, "c d": {}, "e": {"choice": 0}}
    with pytest.raises(SpecError) as caught:
        SearchSpace.parse(data, prefix="plugin.settings.param_space")
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0].removeprefix("plugin.settings.param_space") for line in lines] == [
        ".a",
        "",
        "",
        ".e",
    ]


def test_a_circle_of_conditions_is_refused() -> None:
    lines = complaints({"a": {"choice": [1], "when": {"b": 1}}, "b": {"choice": [1], "when": {"a": 1}}})
    assert lines == [
        "param_space.a: its 'when' leads back to itself by way of 'b'; take one of them out",
        "param_space.b: its 'when' leads back to itself by way of 'a'; take one of them out",
    ]


def test_what_is_written_is_what_is_read() -> None:
    text = """
      learning_rate: {loguniform: [1e-5, 1e-2]}
      batch_size: {quniform: [32, 256, 32]}
      optimizer: {choice: [adam, sgd]}
      momentum: {uniform: [0, 1], when: {optimizer: sgd}}
    """
    space = SearchSpace.parse(parse_located(text, source="space").data)
    assert space.to_data() == {
        "learning_rate": {"loguniform": [1e-5, 1e-2]},
        "batch_size": {"quniform": [32, 256, 32]},
        "optimizer": {"choice": ["adam", "sgd"]},
        "momentum": {"uniform": [0.0, 1.0], "when": {"optimizer": ["sgd"]}},
    }
    assert SearchSpace.model_validate_json(space.model_dump_json()) == space


scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=5)
anything = st.recursive(
    scalars | st.integers() | st.binary(max_size=2) | st.builds(lambda: 10**5000),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["uniform", "loguniform", "quniform", "randint", "choice", "when", "a", "b"]) | scalars,
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
kinds = st.sampled_from(["uniform", "loguniform", "quniform", "randint", "choice", "when", "x"])


@settings(max_examples=100, deadline=None)
@given(anything | st.dictionaries(st.sampled_from("ab"), st.dictionaries(kinds, anything, max_size=2), max_size=2))
def test_no_data_whatever_makes_it_fail_otherwise_than_with_a_spec_error(data: Any) -> None:
    try:
        space = SearchSpace.parse(data)
    except SpecError as exc:
        assert all(line.startswith("param_space") for line in str(exc).splitlines())  # noqa: PT017 - one line each
        return
    assert space.contains(space.sample(random.Random(0)))
