"""What a plugin function is called with: its context, and the api by which it acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from arena_ray.model.events import EPISODIC_RETURN
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import FlagValue
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


class PluginStopped(BaseException):
    """The user has stopped the plugin: leaves its function past its ``except Exception``."""


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
    def scope(self) -> str:
        """What the plugin is at work on: ``experiment``."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting that the plugin declares, checked; None where there is neither a value nor a default."""
        ...

    @property
    def should_stop(self) -> bool:
        """Whether the user wants this to end. A function that loops asks in each pass."""
        ...


class PluginRevision(Protocol):
    """A revision that the plugin has made."""

    @property
    def revision_id(self) -> str:
        """Its id."""
        ...

    @property
    def number(self) -> int:
        """Its number within the experiment, from 1."""
        ...

    @property
    def name(self) -> str | None:
        """What the plugin has called it."""
        ...

    @property
    def hyperparameters(self) -> Mapping[str, FlagValue]:
        """All its hyperparameters: those of the revision before it too."""
        ...


class PluginRun(Protocol):
    """A run that the plugin has started. What its methods tell is asked for at each call."""

    @property
    def run_id(self) -> str:
        """Its id."""
        ...

    @property
    def name(self) -> str:
        """Its name: ``<env>__<algo>__<seed>__<timestamp>``."""
        ...

    @property
    def revision_id(self) -> str:
        """The revision that it trains."""
        ...

    def get_status(self) -> str:
        """Return its state, such as ``running`` or ``completed``."""
        ...

    def is_running(self) -> bool:
        """Whether a process of it is at work."""
        ...

    def is_completed(self) -> bool:
        """Whether it has come to its end, and well."""
        ...

    def get_reward(self) -> float:
        """Return the mean return of its last 20 episodes; NaN, and a note, where no episode has ended."""
        ...

    def get_logs(self, last_lines: int = 100) -> list[str]:
        """Return the newest lines that its script has printed, oldest first."""
        ...


class Table(Protocol):
    """Rows of the registry, to read. A row is a mapping, with the keys that the command line shows as JSON."""

    def find(self, query: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows whose values equal those of *query*, oldest first; all without one."""
        ...

    def find_one(self, query: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the newest of those rows, or None."""
        ...


class Database(Protocol):
    """What the registry knows, to read."""

    @property
    def experiments(self) -> Table:
        """All experiments."""
        ...

    @property
    def revisions(self) -> Table:
        """The revisions of this experiment."""
        ...

    @property
    def runs(self) -> Table:
        """The runs of this experiment."""
        ...


RunEnd = Literal["completed", "failed", "stopped", "timed_out"]
"""How a run that was waited for has ended, or that it has not."""


class PluginApi(Protocol):
    """What a plugin can do to its experiment.

    Calls that start something raise :class:`PluginStopped` once the user has stopped the plugin.
    """

    @property
    def db(self) -> Database:
        """What the registry knows, to read."""
        ...

    def create_revision_with_hyperparameters(
        self, name: str, hyperparameters: Mapping[str, FlagValue], *, notes: str = ""
    ) -> PluginRevision:
        """Make a revision with other hyperparameters; the next runs are of it.

        Args:
            name: What it is called. Names need not differ.
            hyperparameters: What changes; the others stay as in the revision before it.
            notes: What is to be known of it.

        Raises:
            SpecError: The script has no such flag, or takes another type.
        """
        ...

    def create_revision_with_config_updates(
        self,
        name: str,
        config_updates: Mapping[str, Any],
        *,
        merge_strategy: Literal["deep", "shallow"] = "deep",
        notes: str = "",
    ) -> PluginRevision:
        """Make a revision with another nested configuration; the next runs are of it.

        Args:
            name: What it is called. Names need not differ.
            config_updates: What changes; the rest stays as in the revision before it.
            merge_strategy: ``deep`` merges mappings within mappings, ``shallow`` replaces whole top-level sections.
            notes: What is to be known of it.

        Raises:
            SpecError: The runner takes no nested configuration.
        """
        ...

    def create_run(
        self, config: Mapping[str, FlagValue] | None = None, description: str = "", *, seed: int | None = None
    ) -> PluginRun:
        """Queue a run of the revision that this execution made last, or else of the experiment's own.

        Args:
            config: Flags of the script for this run alone; a hyperparameter of the revision is refused.
            description: What is to be known of the run.
            seed: Its seed; by default the experiment's.

        Raises:
            SpecError: The script has no such flag, or takes another type.
        """
        ...

    def wait_for_completion(
        self, runs: Sequence[PluginRun] | PluginRun, timeout_minutes: float | None = None
    ) -> dict[str, RunEnd]:
        """Wait until all of *runs* are over and return how each ended, by its id.

        Args:
            runs: Runs that this execution has started.
            timeout_minutes: When to give up, which a note and the execution's reason tell; by default never.
        """
        ...

    def wait(self, seconds: float = 0.0, *, minutes: float = 0.0) -> None:
        """Wait that long."""
        ...

    def add_note(self, message: str) -> None:
        """Write a note on the experiment; also after a stop."""
        ...

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
