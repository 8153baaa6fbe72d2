from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_kit import Arena

from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings
from arena_ray.orchestrator import local
from arena_ray.orchestrator.client import ArenaClient


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The one cluster that all these tests share: real Ray on this machine, which is told of 4 CPUs and 4 GPUs."""
    workspace = Workspace(tmp_path_factory.mktemp("arena"))
    # Tests kill faster than a machine fails, and on a busy one a run may not have come any further in between.
    settings = Settings(ray_num_cpus=4, ray_num_gpus=4, omp_num_threads=1, max_lost_attempts=20)
    with (
        local.start(workspace, settings, keep=False, on_progress=lambda _: None) as cluster,
        ArenaClient(cluster.address, retry_s=30.0) as client,
    ):
        yield Arena(workspace, client)
    assert not leftovers(workspace.home), "processes outlived their cluster"


def leftovers(home: Path) -> list[str]:
    return Arena.processes_naming(str(home))
