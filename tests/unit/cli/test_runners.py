from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from setup_kit import make_repository

from arena_ray.model.paths import Workspace
from arena_ray.runner.installation import Installation

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


def test_what_the_original_scripts_lack_is_told_with_what_mends_it(
    arena: Arena, workspace: Workspace, tmp_path: Path
) -> None:
    assert "original scripts besides, after: arena runners setup cleanrl" in arena("runners").stdout
    found = json.loads(arena("doctor", "--runner", "cleanrl", "--json").stdout)
    assert [(each["check"], each["status"]) for each in found] == [("runner", "ok"), ("environment", "warn")]
    assert found[1]["remedy"] == "arena runners setup cleanrl"

    installation = Installation(
        runner="cleanrl",
        source="/gone",
        python=sys.executable,
        repository="/gone",
        scripts="/gone/cleanrl",
        interpreter=sys.executable,
        is_complete=False,
    )
    installation.write(workspace.runner("cleanrl"))
    result = arena("doctor", "--runner", "cleanrl", "--json")
    assert result.exit_code == 1
    statuses = {each["detail"]: each["status"] for each in json.loads(result.stdout)}
    assert statuses["no scripts in /gone/cleanrl"] == "fail"
    assert any(detail.startswith("missing: gymnasium==0.29.1") for detail in statuses)
    assert statuses["the setup was interrupted before a script had run"] == "fail"

    make_repository(tmp_path / "clone")
    update = {"scripts": str(tmp_path / "clone" / "originals"), "is_complete": True}
    installation.model_copy(update=update).write(workspace.runner("cleanrl"))
    (listed,) = [each for each in json.loads(arena("runners", "--json").stdout) if each["name"] == "cleanrl"]
    assert listed["setup"] == "complete"
    assert listed["scripts"][-1] == "upstream/learn"


def test_a_setup_that_cannot_be_made_says_why(arena: Arena, workspace: Workspace) -> None:
    assert "known: cleanrl" in arena("runners", "setup", "corl").stderr
    refused = arena("runners", "setup", "cleanrl", "--from", "/no/such/place")
    assert refused.exit_code == 1
    assert "neither a directory nor a URL" in refused.stderr
    assert "no runner 'corl'" in arena("doctor", "--runner", "corl").stderr
