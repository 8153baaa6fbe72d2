"""What a plugin function is called with: its context, and the api by which it acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from arena_ray.model.events import EPISODIC_RETURN
from arena_ray.model.search_space import SearchSpace
from arena_ray.plugin.study import (
    Asha,
    Fifo,
    GridSearch,
    Mode,
    Pbt,
    RandomSearch,
    StudyResult,
    Tpe,
)


class PluginContext(Protocol):
    """Where the plugin is at work, and with which settings."""

    @property
    def plugin_name(self) -> str:
        """The plugin's own name."""
        ...

    @property
    def execution_id(self) -> str:
        """This invocation."""
        ...

    @property
    def experiment_id(self) -> str:
        """The experiment's id."""
        ...

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting that the plugin declares, checked; None where there is neither a value nor a default."""
        ...

    @property
    def should_stop(self) -> bool:
        """Whether the user wants this to end. A function that loops asks in each pass."""
        ...


class PluginApi(Protocol):
    """What a plugin can do to its experiment."""

    def tune(
        self,
        *,
        param_space: SearchSpace,
        num_samples: int | None = None,
        scheduler: Fifo | Asha | Pbt = Fifo(),  # noqa: B008 - a value that never changes
        search_alg: RandomSearch | GridSearch | Tpe = RandomSearch(),  # noqa: B008 - a value that never changes
        metric: str = EPISODIC_RETURN,
        mode: Mode = "max",
        max_concurrent: int | None = None,
        vary_seed: bool = False,
    ) -> StudyResult:
        """Train runs over a search space and return when all of them are over.

        The arguments are those of :class:`arena_ray.plugin.study.Study`.
        """
        ...
