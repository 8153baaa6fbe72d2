from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from arena_ray.model.paths import Workspace

if TYPE_CHECKING:
    from conftest import Arena


@pytest.fixture
def broken_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution whose runner fails when it is imported."""
    metadata = tmp_path / "site" / "hopeless-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hopeless\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[arena_ray.runners]\nhopeless = hopeless_runner:Runner\n")
    (tmp_path / "site" / "hopeless_runner.py").write_text("raise RuntimeError('no luck')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


def test_runners_lists_each_with_its_scripts(arena: Arena, workspace: Workspace) -> None:
    listed = {each["name"]: each for each in json.loads(arena("runners", "--json").stdout)}
    assert "ppo" in listed["cleanrl"]["scripts"]
    assert listed["cleanrl"]["problem"] is None
    assert "cleanrl: " in arena("runners").stdout


def test_a_broken_runner_is_listed_with_its_reason_and_hurts_no_other(
    arena: Arena, workspace: Workspace, broken_runner: None
) -> None:
    listed = {each["name"]: each for each in json.loads(arena("runners", "--json").stdout)}
    assert "no luck" in listed["hopeless"]["problem"]
    assert listed["cleanrl"]["problem"] is None
    assert "RuntimeError: no luck" in arena("runners").stdout
    assert "hopeless: RuntimeError: no luck" in arena("doctor").stdout
