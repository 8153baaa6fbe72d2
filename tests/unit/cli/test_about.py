from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings

if TYPE_CHECKING:
    from conftest import Arena


def test_settings_prints_each_with_its_source(
    arena: Arena, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.settings.write_text("gateway_port = 4711\n")
    monkeypatch.setenv("ARENA_RAY_NUM_CPUS", "3")
    listed = {each["name"]: each for each in json.loads(arena("settings", "--json").stdout)}
    assert listed.keys() == Settings.model_fields.keys()
    assert (listed["gateway_port"]["value"], listed["gateway_port"]["source"]) == (4711, str(workspace.settings))
    assert (listed["ray_num_cpus"]["value"], listed["ray_num_cpus"]["source"]) == (3, "environment")
    assert listed["gateway_host"]["source"] == "default"
    assert "4711" in arena("settings").stdout
