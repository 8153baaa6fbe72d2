"""The door for plugins: mark a function, and it steers experiments."""

from arena_ray.model.schedule import Schedule
from arena_ray.model.search_space import SearchSpace
from arena_ray.plugin.protocol import PluginApi, PluginContext, PluginRevision, PluginRun, PluginStopped
from arena_ray.plugin.registration import register_plugin
from arena_ray.plugin.study import Asha, Fifo, GridSearch, Pbt, RandomSearch, StudyResult, Tpe

__all__ = [
    "Asha",
    "Fifo",
    "GridSearch",
    "Pbt",
    "PluginApi",
    "PluginContext",
    "PluginRevision",
    "PluginRun",
    "PluginStopped",
    "RandomSearch",
    "Schedule",
    "SearchSpace",
    "StudyResult",
    "Tpe",
    "register_plugin",
]
