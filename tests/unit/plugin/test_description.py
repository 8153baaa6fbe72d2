from __future__ import annotations

from arena_ray.plugin.description import PluginDescription
from arena_ray.plugin.discovery import BrokenPlugin
from arena_ray.testing.plugins import LoadedPlugins, load_plugins


def test_a_description_travels_as_json_and_comes_back() -> None:
    [pbt] = [each for each in load_plugins().describe() if each.name == "pbt"]
    assert PluginDescription.model_validate_json(pbt.model_dump_json()) == pbt
    assert pbt.settings[0].name == "population"
    assert pbt.origin.endswith("pbt_plugin.py")


def test_what_cannot_be_used_is_described_by_its_problem() -> None:
    loaded = LoadedPlugins({}, (BrokenPlugin("bad", "dist 1.0 (bad)", "Traceback"),))
    assert loaded.describe() == [PluginDescription(name="bad", origin="dist 1.0 (bad)", problem="Traceback")]
