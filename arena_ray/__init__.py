"""arena_ray: reinforcement-learning experiments on Ray, with scripts that nobody had to change.

The names below are loaded when they are first used, so that ``import arena_ray`` costs nothing.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arena_ray.model.errors import ArenaError, ClusterUnavailable, IllegalTransition, NotFound, SpecError
    from arena_ray.model.paths import Workspace
    from arena_ray.model.records import Attempt, Checkpoint, Experiment, Revision, Run
    from arena_ray.model.settings import Settings, current_workspace, load_settings
    from arena_ray.model.spec import ExperimentSpec, Resources, load_spec
    from arena_ray.model.states import RunState
    from arena_ray.orchestrator.client import ArenaClient
    from arena_ray.orchestrator.reader import RegistryReader, open_reader

    __version__: str

_HOMES = {
    "model.errors": ("ArenaError", "ClusterUnavailable", "IllegalTransition", "NotFound", "SpecError"),
    "model.paths": ("Workspace",),
    "model.records": ("Attempt", "Checkpoint", "Experiment", "Revision", "Run"),
    "model.settings": ("Settings", "current_workspace", "load_settings"),
    "model.spec": ("ExperimentSpec", "Resources", "load_spec"),
    "model.states": ("RunState",),
    "orchestrator.client": ("ArenaClient",),
    "orchestrator.reader": ("RegistryReader", "open_reader"),
}
_HOME_OF = {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names}

__all__ = [
    "ArenaClient",
    "ArenaError",
    "Attempt",
    "Checkpoint",
    "ClusterUnavailable",
    "Experiment",
    "ExperimentSpec",
    "IllegalTransition",
    "NotFound",
    "RegistryReader",
    "Resources",
    "Revision",
    "Run",
    "RunState",
    "Settings",
    "SpecError",
    "Workspace",
    "__version__",
    "current_workspace",
    "load_settings",
    "load_spec",
    "open_reader",
]


def _version() -> str:
    try:
        return metadata.version("arena_ray")
    except metadata.PackageNotFoundError:  # a source tree that is on the path without being installed
        return "0+uninstalled"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
