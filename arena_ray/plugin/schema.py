"""The settings that a plugin takes: how they are declared, and how what a user gives is checked against them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from arena_ray.model.errors import SpecError, nearest
from arena_ray.model.schedule import Schedule
from arena_ray.model.search_space import SearchSpace
from arena_ray.plugin.setting import COUNTED, NUMBERS, TUNED, Setting, SettingType

Check = Callable[[Mapping[str, Any]], list[str]]
"""Returns what is wrong between settings, a sentence each. A setting that is wrong by itself is None there."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYS = Setting.model_fields.keys() - {"name"}


@dataclass(frozen=True)
class Schema:
    """All settings of a plugin, in the order in which it declares them."""

    settings: Mapping[str, Setting] = field(default_factory=dict)
    check: Check | None = None


def read_schema(declared: Mapping[str, Mapping[str, Any]], *, check: Check | None = None) -> Schema:
    """Return the schema that an author wrote as plain data.

    Raises:
        SpecError: One line for each mistake: an unknown key or type, limits that do not fit the type, a default that
            the setting itself would refuse.
    """
    settings: dict[str, Setting] = {}
    mistakes: list[str] = []
    for name, keys in declared.items():
        try:
            settings[name] = _read_setting(name, keys)
        except SpecError as exc:
            mistakes += [f"setting {name!r}: {line}" for line in str(exc).splitlines()]
    for name, setting in settings.items():
        if isinstance(setting.live, str) and not _is_boolean(declared.get(setting.live)):
            mistakes.append(f"setting {name!r}: 'live' names {setting.live!r}, which is no setting of type boolean")
    if mistakes:
        raise SpecError("\n".join(mistakes))
    return Schema(settings, check)


def _is_boolean(keys: Any) -> bool:
    return isinstance(keys, Mapping) and keys.get("type") == SettingType.BOOLEAN


def _read_setting(name: Any, keys: Any) -> Setting:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SpecError("a name has letters, digits and '_', and begins with no digit")
    if not isinstance(keys, Mapping):
        raise SpecError(f"must be declared by a mapping with at least a 'type', not {keys!r}")
    unknown = [f"there is no key {key!r}; {nearest(str(key), _KEYS)}" for key in keys if key not in _KEYS]
    try:
        setting = Setting(name=name, **{key: value for key, value in keys.items() if key in _KEYS})
    except ValidationError as exc:
        raise SpecError("\n".join([*unknown, *_declaration_mistakes(exc)])) from exc
    mistakes = [*unknown, *_contradictions(setting)]
    if mistakes:
        raise SpecError("\n".join(mistakes))
    return setting


def _declaration_mistakes(exc: ValidationError) -> Iterator[str]:
    seen = set()
    for error in exc.errors():
        key = error["loc"][0]
        if key in seen:  # a union reports each of its members
            continue
        seen.add(key)
        if error["type"] == "missing":
            yield f"{key!r} is missing"
        elif key == "type":
            yield f"there is no type {error['input']!r}; {nearest(str(error['input']), map(str, SettingType))}"
        else:
            yield f"{key!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _contradictions(setting: Setting) -> Iterator[str]:
    if (setting.min is not None or setting.max is not None) and setting.type not in NUMBERS | COUNTED.keys():
        yield f"type {setting.type} takes neither 'min' nor 'max'"
    elif setting.min is not None and setting.max is not None and setting.min > setting.max:
        yield f"'min' is {setting.min}, above 'max', {setting.max}"
    if bool(setting.options) is not (setting.type is SettingType.CHOICE):
        yield "'options' are for type choice, which needs them"
    if setting.live and setting.type not in TUNED:
        yield "'live' is for types search_space and schedule"
    if setting.default is None:
        return
    if setting.required:
        yield "it has a default, so that it cannot be required"
    try:
        setting.fit(setting.default, place="its default")
    except SpecError as exc:
        yield from str(exc).splitlines()


def check_settings(schema: Schema, values: Mapping[str, Any], *, place: str) -> dict[str, Any]:
    """Return every setting of *schema*: as given in *values*, or else its default, or None.

    A search space is returned as a ``SearchSpace``, a schedule as a ``Schedule``. A value that is None counts as not
    given.

    Args:
        schema: What the plugin takes.
        values: What the user gave; what this returned before is good as well.
        place: Where the user gave it, such as ``plugin.settings``; a message begins with it.

    Raises:
        SpecError: One line for each mistake.
    """
    mistakes = [
        f"{place}.{name}: there is no such setting; {nearest(name, schema.settings)}"
        for name in values
        if name not in schema.settings
    ]
    settings: dict[str, Any] = dict.fromkeys(schema.settings)
    for name, setting in schema.settings.items():
        try:
            settings[name] = _value(setting, values.get(name), place=f"{place}.{name}")
        except SpecError as exc:
            mistakes += str(exc).splitlines()
    between = _mistakes_between(schema, settings, is_wrong_already=bool(mistakes))
    mistakes += [f"{place}: {mistake}" for mistake in between]
    if mistakes:
        raise SpecError("\n".join(mistakes))
    return settings


def plain_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked settings as they are written in an experiment file."""
    return {
        name: value.to_data() if isinstance(value, SearchSpace | Schedule) else value for name, value in values.items()
    }


def _value(setting: Setting, given: Any, *, place: str) -> Any:
    if given is None and setting.required:
        raise SpecError(f"{place}: is needed, and has no default")
    value = setting.default if given is None else given
    return None if value is None else setting.fit(value, place=place)


def _mistakes_between(schema: Schema, settings: Mapping[str, Any], *, is_wrong_already: bool) -> list[str]:
    if schema.check is None:
        return []
    try:
        return list(schema.check(dict(settings)))
    except Exception as exc:  # noqa: BLE001 - a plugin's own code, which may not expect that a setting is missing
        return [] if is_wrong_already else [f"the plugin's own check failed: {type(exc).__name__}: {exc}"]
