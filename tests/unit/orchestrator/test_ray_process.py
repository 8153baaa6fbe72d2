from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from arena_ray.model.paths import Workspace
from arena_ray.orchestrator.leftovers import DIRECTORY_PREFIX
from arena_ray.orchestrator.ray_process import Keeper, lasting_home, sole_keeper

LASTING = Path("/home/someone/arena")


@pytest.mark.parametrize(
    ("home", "expected"),
    [
        ("/tmp/ray/session_1/runtime_resources/working_dir_files/_ray_pkg_0123", LASTING),
        ("/tmp/ray/session_1/runtime_resources/working_dir_files/_ray_pkg_0123/below", LASTING),
        ("/home/someone/work", Path("/home/someone/work")),
        ("/home/someone/my_working_dir_files", Path("/home/someone/my_working_dir_files")),
    ],
)
def test_what_a_job_leaves_does_not_lie_in_its_temporary_directory(home: str, expected: Path) -> None:
    assert lasting_home(Path(home), otherwise=LASTING) == expected


def test_the_directory_of_a_killed_keeper_is_removed_by_the_next_one(tmp_path: Path) -> None:
    workspace, left, other = Workspace(tmp_path), tmp_path / f"{DIRECTORY_PREFIX}left", tmp_path / "other"
    workspace.training.mkdir(parents=True)
    for directory in (left, other):
        directory.mkdir()
        workspace.cluster.write_text(Keeper(pid=1, created=0.0, directory=str(directory)).model_dump_json())
        with sole_keeper(workspace) as mine:
            assert mine.is_dir()
        assert not mine.exists()
        assert not workspace.cluster.exists()
    assert not left.exists()
    assert other.exists()


def test_a_cluster_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.training.mkdir(parents=True)
    lock = workspace.cluster_lock.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    releasing = threading.Timer(0.5, lock.close)
    releasing.start()
    with sole_keeper(workspace):
        assert lock.closed
    releasing.join()
