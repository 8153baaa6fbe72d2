from __future__ import annotations

from pathlib import Path, PurePath

from hypothesis import given
from hypothesis import strategies as st

from arena_ray.model.paths import Workspace, safe_name


@given(text=st.text())
def test_no_name_leaves_its_directory(text: str) -> None:
    name = safe_name(text)
    assert PurePath(name).parts == (name,)
    assert not name.startswith(".")


def test_everything_that_is_kept_lies_under_var_training() -> None:
    workspace = Workspace(Path("/home/me"))
    files = workspace.run("ALE/Pong-v5__ppo__1__2")
    kept = [workspace.registry, workspace.runs_export, workspace.gateway, workspace.bundles, workspace.cluster]
    kept += [files.root, files.tensorboard, files.checkpoints, files.metrics, files.log, files.output(1, "stdout")]
    assert all(path.is_relative_to("/home/me/var/training") for path in kept)
    assert len(set(kept)) == len(kept)
    assert "ALE-Pong-v5__ppo__1__2" in files.root.parts
