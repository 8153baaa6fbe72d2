"""The door for plugins: mark a function, and it steers experiments."""

from arena_ray.model.schedule import Schedule
from arena_ray.model.search_space import SearchSpace
from arena_ray.plugin.context import PluginContext
from arena_ray.plugin.handles import Metrics, PluginRevision, PluginRun
from arena_ray.plugin.protocol import PluginApi, PluginStopped
from arena_ray.plugin.registration import register_plugin
from arena_ray.plugin.seed_report import seed_report
from arena_ray.plugin.study import (
    Asha,
    Fifo,
    GridSearch,
    Pbt,
    RandomSearch,
    Saving,
    SeedRace,
    StudyResult,
    Tpe,
)

__all__ = [
    "Asha",
    "Fifo",
    "GridSearch",
    "Metrics",
    "Pbt",
    "PluginApi",
    "PluginContext",
    "PluginRevision",
    "PluginRun",
    "PluginStopped",
    "RandomSearch",
    "Saving",
    "Schedule",
    "SearchSpace",
    "SeedRace",
    "StudyResult",
    "Tpe",
    "register_plugin",
    "seed_report",
]
