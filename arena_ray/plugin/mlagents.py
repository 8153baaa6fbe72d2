"""Writers that were written for ML-Agents: given its own values where it is installed, and its names where it is not.

Only ever used in a process that loads one registration function and nothing else.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from types import ModuleType
from typing import Any

from arena_ray.plugin import stats_writer

STATS = "mlagents.trainers.stats"
_INTERFACE = ("StatsWriter", "StatsSummary", "StatsAggregationMethod", "StatsPropertyType")


def stand_in() -> list[str]:
    """Give a process the names of ML-Agents' interface, ours behind them, where ML-Agents is not installed.

    ML-Agents cannot be installed beside us: it asks for an older Python. What its writers import of it is little.

    Returns:
        The names of the modules that were made.
    """
    made: dict[str, dict[str, Any]] = {}
    if importlib.util.find_spec("mlagents") is None:
        made |= {
            "mlagents": {},
            "mlagents.plugins": {"ML_AGENTS_STATS_WRITER": stats_writer.ML_AGENTS_STATS_WRITER},
            "mlagents.trainers": {},
            "mlagents.trainers.settings": {"RunOptions": stats_writer.RunOptions},
            STATS: {name: getattr(stats_writer, name) for name in _INTERFACE},
        }
    if importlib.util.find_spec("mlagents_envs") is None:
        made |= {"mlagents_envs": {}, "mlagents_envs.logging_util": {"get_logger": logging.getLogger}}
    for name, contents in made.items():
        _make(name, contents)
    return list(made)


def _make(name: str, contents: dict[str, Any]) -> None:
    module = ModuleType(name, "Stands in for ML-Agents, which is not installed.")
    vars(module).update(contents, __path__=[])
    sys.modules[name] = module
    parent, _, own = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, module)


def types_for(writer: object) -> Any:
    """Return the module whose enumerations and summaries *writer* knows: ML-Agents' where it derives from its class."""
    theirs = sys.modules.get(STATS)
    base = getattr(theirs, "StatsWriter", None)
    return theirs if isinstance(base, type) and isinstance(writer, base) else stats_writer
