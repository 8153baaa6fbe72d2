"""What every installed plugin must keep, ours and anybody else's."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from arena_ray.model.errors import SpecError
from arena_ray.model.spec import Name
from arena_ray.model.states import Scope
from arena_ray.plugin.description import PluginDescription, describe_plugin
from arena_ray.plugin.registration import Plugin
from arena_ray.plugin.schema import check_settings
from arena_ray.testing.plugins import load_plugins

INSTALLED = load_plugins()
every_plugin = pytest.mark.parametrize("plugin", INSTALLED.plugins.values(), ids=list(INSTALLED.plugins))


def test_the_built_in_plugins_come_in_by_their_entry_point() -> None:
    assert {"pbt", "hyperparameter_sweeper"} <= INSTALLED.plugins.keys()


def test_no_installed_plugin_is_broken() -> None:
    assert INSTALLED.broken == ()


@every_plugin
def test_a_plugin_has_a_name_that_an_experiment_file_may_give(plugin: Plugin) -> None:
    assert TypeAdapter(Name).validate_python(plugin.name) == plugin.name
    assert INSTALLED.plugins[plugin.name] is plugin


@every_plugin
def test_a_plugin_describes_itself_in_one_line_and_has_a_known_scope(plugin: Plugin) -> None:
    assert plugin.description.strip()
    assert "\n" not in plugin.description
    assert plugin.scope in Scope
    assert Path(plugin.origin).is_file()


@every_plugin
def test_each_setting_is_described(plugin: Plugin) -> None:
    assert [name for name, each in plugin.schema.settings.items() if not each.description] == []


@every_plugin
def test_each_default_is_good_and_travels_as_plain_data(plugin: Plugin) -> None:
    for setting in plugin.schema.settings.values():
        if setting.default is not None:
            travelled = json.loads(json.dumps(setting.default))
            expected = setting.fit(setting.default, place=setting.name)
            assert setting.fit(travelled, place=setting.name) == expected


@every_plugin
def test_a_setting_that_it_does_not_know_is_told_with_what_else_is_wrong(plugin: Plugin) -> None:
    with pytest.raises(SpecError) as caught:
        check_settings(plugin.schema, {"no_such_setting": 1}, place="plugin.settings")
    first, *others = str(caught.value).splitlines()
    assert first.startswith("plugin.settings.no_such_setting: there is no such setting; ")
    assert [line for line in others if not line.startswith("plugin.settings")] == []


@every_plugin
def test_a_description_of_it_travels_as_json(plugin: Plugin) -> None:
    described = describe_plugin(plugin)
    assert PluginDescription.model_validate_json(described.model_dump_json()) == described
