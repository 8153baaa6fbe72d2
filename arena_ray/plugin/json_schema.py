"""The settings of a plugin as JSON Schema, from which forms are made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from arena_ray.plugin.setting import Setting, SettingType

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES: dict[SettingType, str] = {
    SettingType.INT: "integer",
    SettingType.FLOAT: "number",
    SettingType.STRING: "string",
    SettingType.BOOLEAN: "boolean",
    SettingType.LIST: "array",
    SettingType.DICT: "object",
    SettingType.SEARCH_SPACE: "object",
    SettingType.SCHEDULE: "array",
}
_LIMITS = {
    SettingType.INT: ("minimum", "maximum"),
    SettingType.FLOAT: ("minimum", "maximum"),
    SettingType.STRING: ("minLength", "maxLength"),
    SettingType.LIST: ("minItems", "maxItems"),
}


def json_schema(settings: Iterable[Setting], *, title: str) -> dict[str, Any]:
    """Return the JSON Schema of an object with these settings.

    What it accepts is fitted to the types by :func:`arena_ray.plugin.schema.check_settings`, which also asks the
    plugin's own check; a search space or a schedule is described by its outer form only.

    Args:
        settings: In the order of the form.
        title: The plugin's name.

    Source: JSON Schema, draft 2020-12.
    """
    listed = list(settings)
    return {
        "$schema": DIALECT,
        "title": title,
        "type": "object",
        "properties": {setting.name: _property(setting) for setting in listed},
        "required": [setting.name for setting in listed if setting.required],
        "additionalProperties": False,
    }


def _property(setting: Setting) -> dict[str, Any]:
    found: dict[str, Any] = {"title": setting.label or setting.name.replace("_", " ")}
    if setting.description:
        found["description"] = setting.description
    if setting.type is SettingType.CHOICE:
        found["enum"] = list(setting.options)
    else:
        found["type"] = _TYPES[setting.type]
    for key, limit in zip(_LIMITS.get(setting.type, ()), (setting.min, setting.max), strict=False):
        if limit is not None:
            found[key] = limit
    if setting.default is not None:
        found["default"] = setting.default
    elif not setting.required:  # null counts as not given
        found = _or_null(found)
    return found


def _or_null(found: dict[str, Any]) -> dict[str, Any]:
    if "enum" in found:
        return found | {"enum": [*found["enum"], None]}
    return found | {"type": [found["type"], "null"]}
