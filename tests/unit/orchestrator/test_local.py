"""Commands that use one workspace's cluster at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from arena_ray.model.errors import ClusterUnavailable
from arena_ray.model.paths import Workspace
from arena_ray.orchestrator.local import ClusterUse


def test_who_has_started_it_knows_when_no_other_command_uses_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with ClusterUse(workspace) as starter:
        with ClusterUse(workspace):
            assert not starter.is_last()
        assert starter.is_last()


def test_nobody_begins_to_use_what_the_last_one_takes_down(tmp_path: Path) -> None:
    workspace, is_down, began = Workspace(tmp_path), threading.Event(), []

    def use() -> None:
        with ClusterUse(workspace):
            began.append(is_down.is_set())

    with ClusterUse(workspace) as starter:
        assert starter.is_last()
        late = threading.Thread(target=use)
        late.start()
        late.join(0.2)
        is_down.set()
    late.join(60)
    assert began == [True]


def test_a_workspace_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ClusterUnavailable, match="name another directory with ARENA_HOME"):
        ClusterUse(Workspace(tmp_path / "file"))
