"""The process in which a plugin's function runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from arena_ray.model.paths import Workspace
from arena_ray.runner.process import GuardedProcess


def start_host(name: str, *, workspace: Workspace, environ: Mapping[str, str] = os.environ) -> GuardedProcess:
    """Start a process for a plugin's function; it works in the workspace, sees no GPU and none of Ray's variables.

    Args:
        name: Of the file into which goes what it prints: the execution's id.
        workspace: Where it works.
        environ: What it inherits.

    Raises:
        OSError: It could not be started.
    """
    workspace.executions.mkdir(parents=True, exist_ok=True)
    output = workspace.executions / f"{name}.log"
    env = {key: value for key, value in environ.items() if not key.startswith("RAY_")}
    return GuardedProcess.start(
        [sys.executable, "-P", "-u", "-m", "arena_ray.host", "{fd}"],
        cwd=workspace.home,
        env=env | {"CUDA_VISIBLE_DEVICES": ""},
        stdout=output,
        stderr=output,
    )
