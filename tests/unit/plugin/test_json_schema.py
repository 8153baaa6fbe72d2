"""The settings of plugins as JSON Schema."""

from __future__ import annotations

import jsonschema
import pytest

from arena_ray.plugin.json_schema import json_schema
from arena_ray.plugin.schema import read_schema
from arena_ray.plugin.setting import SettingType
from arena_ray.testing.plugins import load_plugins

PLUGINS = load_plugins().plugins


def schema_of(**declared: dict) -> dict:
    return json_schema(read_schema(declared).settings.values(), title="mine")


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"type": "int", "default": 4, "min": 2}, {"type": "integer", "minimum": 2, "default": 4}),
        ({"type": "float", "min": 0, "max": 0.5}, {"type": ["number", "null"], "minimum": 0, "maximum": 0.5}),
        ({"type": "string", "required": True, "min": 1}, {"type": "string", "minLength": 1}),
        ({"type": "boolean", "default": False}, {"type": "boolean", "default": False}),
        ({"type": "list", "default": [1], "max": 2}, {"type": "array", "maxItems": 2, "default": [1]}),
        ({"type": "choice", "options": ["a", 1], "default": "a"}, {"enum": ["a", 1], "default": "a"}),
        ({"type": "choice", "options": ["a"]}, {"enum": ["a", None]}),
        ({"type": "dict", "default": {"a": 1}}, {"type": "object", "default": {"a": 1}}),
        ({"type": "search_space", "required": True}, {"type": "object"}),
        ({"type": "schedule", "required": True}, {"type": "array"}),
    ],
)
def test_each_type_with_its_limits(declared: dict, expected: dict) -> None:
    assert schema_of(my_setting=declared)["properties"]["my_setting"] == {"title": "my setting"} | expected


def test_label_description_and_what_is_needed() -> None:
    found = schema_of(
        a={"type": "int", "required": True, "label": "How many", "description": "So many."}, b={"type": "int"}
    )
    assert found["properties"]["a"]["title"] == "How many"
    assert found["properties"]["a"]["description"] == "So many."
    assert (found["title"], found["required"], found["additionalProperties"]) == ("mine", ["a"], False)


def test_every_type_has_its_form() -> None:
    for kind in SettingType:
        options = {"options": ["a"]} if kind is SettingType.CHOICE else {}
        assert schema_of(x={"type": str(kind), **options})["properties"]["x"]


EXAMPLES = {"search_space": {"x": {"uniform": [0, 1]}}, "schedule": [], "int": 1}


@pytest.mark.parametrize("name", PLUGINS)
def test_those_of_the_shipped_plugins_are_sound_and_their_defaults_fit(name: str) -> None:
    settings = PLUGINS[name].schema.settings
    found = json_schema(settings.values(), title=name)
    jsonschema.Draft202012Validator.check_schema(found)
    given = {key: EXAMPLES[each.type] if each.required else each.default for key, each in settings.items()}
    jsonschema.validate(given, found)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(given | {"of_no_such_name": 1}, found)
