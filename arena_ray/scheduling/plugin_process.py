"""The process in which a plugin's function runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arena_ray.model.paths import Workspace
from arena_ray.model.states import Scope
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


def begin_with(
    plugin: str,
    scope: Scope,
    settings: Mapping[str, Any],
    *,
    experiment_id: str,
    experiment: str,
    execution_id: str = "",
    target_id: str = "",
    directories: Sequence[Path] = (),
) -> dict[str, Any]:
    """Return what such a process is told first: see :class:`arena_ray.plugin.context.PluginContext`.

    Args:
        plugin: The plugin's name.
        scope: What it is at work on.
        settings: As JSON can hold them.
        experiment_id: Empty where there is none yet.
        experiment: The experiment's name.
        execution_id: Empty where no execution is kept.
        target_id: Empty where the function is told each time it is called.
        directories: Folders into which plugins are dropped.
    """
    context = {
        "plugin_name": plugin,
        "scope": scope.value,
        "target_id": target_id,
        "execution_id": execution_id,
        "experiment_id": experiment_id,
        "experiment": experiment,
    }
    return {"context": context, "settings": dict(settings), "directories": [str(path) for path in directories]}
