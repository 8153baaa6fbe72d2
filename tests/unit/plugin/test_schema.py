from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from arena_ray.model.errors import SpecError
from arena_ray.model.search_space import SearchSpace
from arena_ray.plugin.schema import Schema, check_settings, read_schema

DECLARED: dict[str, dict[str, Any]] = {
    "interval": {"type": "int", "required": True, "min": 1},
    "fraction": {"type": "float", "default": 0.25, "min": 0, "max": 0.5},
    "factors": {"type": "list", "default": [1.2, 0.8]},
    "mode": {"type": "choice", "default": "max", "options": ["max", "min"]},
    "limit": {"type": "int"},
    "space": {"type": "search_space", "default": {"gamma": {"uniform": [0.9, 1.0]}}},
}


def check(schema: Schema, **values: Any) -> dict[str, Any]:
    return check_settings(schema, values, place="plugin.settings")


def mistakes(schema: Schema, **values: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        check(schema, **values)
    return str(caught.value).splitlines()


@pytest.fixture
def schema() -> Schema:
    return read_schema(DECLARED)


def test_what_is_not_given_gets_its_default(schema: Schema) -> None:
    settings = check(schema, interval=100, fraction=0.5)
    space = settings.pop("space")
    assert settings == {"interval": 100, "fraction": 0.5, "factors": [1.2, 0.8], "mode": "max", "limit": None}
    assert isinstance(space, SearchSpace)


def test_null_counts_as_not_given(schema: Schema) -> None:
    assert check(schema, interval=1, fraction=None)["fraction"] == 0.25
    assert mistakes(schema, interval=None) == ["plugin.settings.interval: is needed, and has no default"]


def test_a_default_belongs_to_each_execution_alone(schema: Schema) -> None:
    check(schema, interval=1)["factors"].append(7)
    assert check(schema, interval=1)["factors"] == [1.2, 0.8]


def test_all_mistakes_are_told_at_once(schema: Schema) -> None:
    told = mistakes(
        schema, intervall=100, fraction=0.7, mode="maximum", space={"gamma": {"uniform": [1]}, "lr": {"gauss": []}}
    )
    assert told[:4] == [
        "plugin.settings.intervall: there is no such setting; did you mean 'interval'?",
        "plugin.settings.interval: is needed, and has no default",
        "plugin.settings.fraction: must be between 0 and 0.5, not 0.7",
        "plugin.settings.mode: must be one of max, min, not 'maximum'",
    ]
    space = told[4:]
    assert [line.startswith("plugin.settings.space.") for line in space] == [True, True]
    assert "gamma" in space[0]
    assert "lr" in space[1]


def test_mistakes_between_settings_are_told_with_the_others() -> None:
    def between(settings: Mapping[str, Any]) -> list[str]:
        first, last = settings["first"], settings["last"]
        return ["last must not be below first"] if last is not None and first > last else []

    keys = {"first": {"type": "int", "default": 1}, "last": {"type": "int"}, "mode": {"type": "string"}}
    schema = read_schema(keys, check=between)
    assert check(schema, first=3, last=4)["last"] == 4
    assert mistakes(schema, first=3, last=2, mode=7) == [
        "plugin.settings.mode: must be text, not 7",
        "plugin.settings: last must not be below first",
    ]


def test_a_check_that_fails_is_told_unless_a_wrong_setting_may_be_the_cause() -> None:
    schema = read_schema(
        {"first": {"type": "int", "required": True}, "rest": {"type": "int", "default": 0}},
        check=lambda settings: [str(settings["first"] / settings["rest"])],
    )
    assert mistakes(schema, first="x") == ["plugin.settings.first: must be a whole number, not 'x'"]
    [told] = mistakes(schema, first=1)
    assert told == "plugin.settings: the plugin's own check failed: ZeroDivisionError: division by zero"


def test_a_check_cannot_change_the_settings() -> None:
    schema = read_schema({"first": {"type": "int", "default": 1}}, check=lambda settings: settings.clear() or [])
    assert check(schema) == {"first": 1}


def test_checked_settings_travel_as_json_and_come_back(schema: Schema) -> None:
    settings = check(schema, interval=100, space={"lr": {"choice": [1, 2]}})
    plain = json.loads(json.dumps(settings | {"space": settings["space"].to_data()}))
    assert plain["space"] == {"lr": {"choice": [1, 2]}}
    assert check(schema, **plain) == settings
    assert check(schema, **settings) == settings


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "'type' is missing"),
        ({"type": "integer"}, "there is no type 'integer'; did you mean 'int'?"),
        ({"type": "number"}, "there is no type 'number'; known: boolean, choice, "),
        ({"type": "int", "defualt": 3}, "there is no key 'defualt'; did you mean 'default'?"),
        ({"type": "int", "name": "y"}, "there is no key 'name'; known: "),
        ({"type": "int", "min": "a"}, "'min': input should be a valid "),
        ({"type": "int", "min": 3, "max": 2}, "'min' is 3, above 'max', 2"),
        ({"type": "boolean", "min": 3}, "type boolean takes neither 'min' nor 'max'"),
        ({"type": "choice"}, "'options' are for type choice, which needs them"),
        ({"type": "int", "options": [1]}, "'options' are for type choice, which needs them"),
        ({"type": "dict", "live": True}, "'live' is for types search_space and schedule"),
        ({"type": "search_space", "live": "y"}, "'live' names 'y', which is no setting of type boolean"),
        ({"type": "search_space", "live": "x"}, "'live' names 'x', which is no setting of type boolean"),
        ({"type": "int", "default": 3, "required": True}, "it has a default, so that it cannot be required"),
        ({"type": "int", "default": 3, "min": 4}, "its default: must be at least 4, not 3"),
        ({"type": "choice", "default": "c", "options": ["a"]}, "its default: must be one of a, not 'c'"),
        ("int", "must be declared by a mapping with at least a 'type', not 'int'"),
    ],
)
def test_a_setting_that_is_declared_wrongly_is_refused(keys: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_schema({"x": keys})
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"setting 'x': {message}")


def test_all_mistakes_of_a_declaration_are_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        read_schema({"a b": {"type": "int"}, "c": {"type": "int", "mni": 1, "live": True}, "d": {"type": "flaot"}})
    assert [line.partition(";")[0] for line in str(caught.value).splitlines()] == [
        "setting 'a b': a name has letters, digits and '_', and begins with no digit",
        "setting 'c': there is no key 'mni'",
        "setting 'c': 'live' is for types search_space and schedule",
        "setting 'd': there is no type 'flaot'",
    ]
