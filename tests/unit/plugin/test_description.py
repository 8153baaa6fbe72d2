from __future__ import annotations

from arena_ray.plugin.description import PluginDescription, describe_plugins
from arena_ray.plugin.discovery import BrokenPlugin, LoadedPlugins, load_plugins


def test_a_description_travels_as_json_and_comes_back() -> None:
    [pbt] = [each for each in describe_plugins(load_plugins()) if each.name == "pbt"]
    assert PluginDescription.model_validate_json(pbt.model_dump_json()) == pbt
    assert pbt.settings[0].name == "population"
    assert pbt.origin.endswith("pbt_plugin.py")


def test_what_cannot_be_used_is_described_by_its_problem() -> None:
    loaded = LoadedPlugins({}, (BrokenPlugin("bad", "dist 1.0 (bad)", "Traceback"),))
    assert describe_plugins(loaded) == [PluginDescription(name="bad", origin="dist 1.0 (bad)", problem="Traceback")]
