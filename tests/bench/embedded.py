"""A cluster of the benchmark's own, in a workspace that goes with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster_kit import Arena

from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings
from arena_ray.orchestrator import local
from arena_ray.orchestrator.client import ArenaClient


@contextmanager
def open_arena(settings: Settings) -> Iterator[Arena]:
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as home:
        workspace = Workspace(Path(home))
        with (
            local.start(workspace, settings, keep=False, on_progress=lambda _: None) as cluster,
            ArenaClient(cluster.address) as client,
        ):
            yield Arena(workspace, client)
