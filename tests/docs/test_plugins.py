"""docs/reference/plugins.md says what the door for plugins says, and every setting of the plugins that are shipped."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from docs.pages import ROOT, code, codes, page, table

from arena_ray import plugin as door
from arena_ray.cli.plugins import default_text
from arena_ray.model.spec import parse_spec
from arena_ray.model.states import Scope
from arena_ray.model.yaml_lines import parse_located
from arena_ray.plugin import PluginApi, PluginContext, PluginRun, StudyResult, register_plugin
from arena_ray.plugin.registration import plugin_of
from arena_ray.plugin.schema import check_settings
from arena_ray.plugin.setting import Setting, SettingType
from arena_ray.testing.plugins import load_plugins

PAGE = page("reference/plugins.md")
LOADED = load_plugins().plugins
SHIPPED = {
    name: each for name, each in LOADED.items() if Path(each.origin).is_relative_to(ROOT / "plugins" / "arena_plugins")
}


def told_arguments(section: str) -> dict[str, str]:
    return {code(name): default for name, default, _ in table(PAGE.section(section))}


def arguments(function: Any) -> dict[str, inspect.Parameter]:
    return {name: each for name, each in inspect.signature(function).parameters.items() if name != "self"}


def spelled(default: Any, write: Any) -> str:
    return "needed" if default is inspect.Parameter.empty else f"`{write(default)}`"


def test_arguments_of_the_mark() -> None:
    assert told_arguments("`register_plugin`") == {
        name: spelled(each.default, lambda value: json.dumps(value, ensure_ascii=False))
        for name, each in arguments(register_plugin).items()
    }
    assert set(Scope) <= set(codes(PAGE.section("`register_plugin`")))


def test_keys_and_types_of_settings() -> None:
    rows = table(PAGE.section("Settings"))
    keys = {
        name: "needed" if info.is_required() else f"`{json.dumps(info.default)}`"
        for name, info in Setting.model_fields.items()
        if name != "name"
    }
    assert {code(name): default for name, default, _ in rows[: len(keys)]} == keys
    assert [code(name) for name, _, _ in rows[len(keys) :]] == list(SettingType)


def test_attributes_of_the_context() -> None:
    told = [code(name) for name, _ in table(PAGE.section("The context"))]
    assert told == [name for name, each in vars(PluginContext).items() if isinstance(each, property)]


def test_arguments_of_tune() -> None:
    rows = table(PAGE.section("`api.tune`").partition("### Values")[0])
    assert {code(name): default for name, default, _ in rows} == {
        name: spelled(each.default, lambda value: json.dumps(value) if isinstance(value, str) else repr(value))
        for name, each in arguments(PluginApi.tune).items()
    }


def test_calls_of_the_api_and_their_arguments() -> None:
    def told(call: str) -> tuple[str, str]:
        name, _, rest = call.partition("(")
        return name, rest.rstrip(")")

    rows = dict(told(code(call)) for call, _ in table(PAGE.section("The api").partition("### ")[0]))
    calls = {name: each for name, each in vars(PluginApi).items() if inspect.isfunction(each) and name[0] != "_"}
    assert rows.keys() == calls.keys()
    for name, each in calls.items():
        if name != "tune":
            parameters = list(arguments(each).values())
            words = [parameter.name for parameter in parameters]
            first = next((at for at, one in enumerate(parameters) if one.kind is one.KEYWORD_ONLY), None)
            assert rows[name] == ", ".join(words if first is None else [*words[:first], "*", *words[first:]])


def test_what_a_run_tells() -> None:
    first = table(PAGE.section("Runs and revisions"))
    told = {name.partition("(")[0] for row in first for name in codes(row[0])}
    assert told == {name for name in vars(PluginRun) if not name.startswith("_")}


def test_values_and_what_they_take() -> None:
    told = {code(name): codes(takes) for name, takes, _ in table(PAGE.section("Values"))}
    exported = {name: getattr(door, name) for name in door.__all__}
    values = {name: value for name, value in exported.items() if value.__module__ == StudyResult.__module__}
    assert StudyResult in values.values()
    assert told == {name: list(value.model_fields) for name, value in values.items()}


def test_each_shipped_plugin_has_a_section() -> None:
    titles = {title.strip("`") for title in PAGE.titles(2) if title.startswith("`")}
    assert titles == SHIPPED.keys() | {"register_plugin"}


@pytest.mark.parametrize("name", SHIPPED)
def test_settings_of_a_shipped_plugin(name: str) -> None:
    def default(setting: Setting) -> str:
        text = default_text(setting)
        return text if text in ("needed", "-") else f"`{text}`"

    assert [[code(row[0]), code(row[1]), *row[2:]] for row in table(PAGE.section(f"`{name}`"))] == [
        [each.name, each.type.value, default(each), each.limits or "-", each.description]
        for each in SHIPPED[name].schema.settings.values()
    ]


@pytest.mark.parametrize("example", PAGE.examples("yaml"), ids=lambda each: each.place)
def test_settings_of_an_example_are_good(example: Any) -> None:
    call = parse_spec(parse_located(example.text, source=example.place)).plugin
    assert call
    check_settings(LOADED[call.name].schema, call.settings, place=example.place)


def test_the_first_example_is_a_plugin() -> None:
    names: dict[str, Any] = {}
    exec(PAGE.examples("python")[0].text, names)
    assert plugin_of(names["five_samples"])
