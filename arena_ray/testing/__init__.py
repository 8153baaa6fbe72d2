"""Parts for the tests of third-party runners and plugins, and for our own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arena_ray.testing.plugin_contract import (
        DeclarationContract,
        ExperimentPluginContract,
        RevisionPluginContract,
        RunPluginContract,
    )
    from arena_ray.testing.plugins import load_plugin, load_plugins
    from arena_ray.testing.stage import PluginStage
    from arena_ray.testing.training import Training, TrainingFails, TrainingHangs

_HOME_OF = {
    "DeclarationContract": "plugin_contract",
    "ExperimentPluginContract": "plugin_contract",
    "PluginStage": "stage",
    "RevisionPluginContract": "plugin_contract",
    "RunPluginContract": "plugin_contract",
    "Training": "training",
    "TrainingFails": "training",
    "TrainingHangs": "training",
    "load_plugin": "plugins",
    "load_plugins": "plugins",
}

__all__ = [
    "DeclarationContract",
    "ExperimentPluginContract",
    "PluginStage",
    "RevisionPluginContract",
    "RunPluginContract",
    "Training",
    "TrainingFails",
    "TrainingHangs",
    "load_plugin",
    "load_plugins",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
