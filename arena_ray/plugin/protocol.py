"""The api by which a plugin's function acts: the second thing that it is called with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from arena_ray.model.events import EPISODIC_RETURN
from arena_ray.model.schedule import Schedule
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import FlagValue
from arena_ray.plugin.handles import Database, Metrics, PluginRevision, PluginRun, RunEnd
from arena_ray.plugin.study import Asha, Fifo, GridSearch, Mode, Pbt, RandomSearch, SeedRace, StudyResult, Tpe


class PluginStopped(BaseException):
    """The user has stopped the plugin: leaves its function past its ``except Exception``."""


class PluginApi(Protocol):
    """What a plugin can do to its experiment.

    Calls that start or wait for something raise :class:`PluginStopped` once the user has stopped the plugin.
    """

    @property
    def db(self) -> Database:
        """What the registry knows, to read."""
        ...

    def create_revision(
        self,
        name: str,
        *,
        hyperparameters: Mapping[str, FlagValue] | None = None,
        flags: Mapping[str, FlagValue] | None = None,
        config_updates: Mapping[str, Any] | None = None,
        merge_strategy: Literal["deep", "shallow"] = "deep",
        environment_id: str | None = None,
        parent_revision_id: str | None = None,
        notes: str = "",
    ) -> PluginRevision:
        """Make a revision; the next runs are of it. What is not given stays as in its parent.

        Args:
            name: What it is called. Names need not differ.
            hyperparameters: Those that change.
            flags: Flags that are no hyperparameters, and change.
            config_updates: What changes in the nested configuration, for runners that have one.
            merge_strategy: ``deep`` merges mappings within mappings, ``shallow`` replaces whole top-level sections.
            environment_id: Another environment.
            parent_revision_id: Where it comes from; by default the revision that this execution made last, or else the
                experiment's own.
            notes: What is to be known of it.

        Raises:
            SpecError: The script has no such flag, or takes another type; or the runner no nested configuration; or a
                plugin with scope revision refuses it.
        """
        ...

    def create_revision_with_hyperparameters(
        self, name: str, hyperparameters: Mapping[str, FlagValue], behavior_name: str | None = None, notes: str = ""
    ) -> PluginRevision:
        """Make a revision with other hyperparameters; see :meth:`create_revision`.

        With *behavior_name* they are those of that behavior in the nested configuration:
        ``behaviors.<behavior_name>.hyperparameters``.
        """
        ...

    def create_revision_with_config_updates(
        self,
        name: str,
        config_updates: Mapping[str, Any],
        merge_strategy: Literal["deep", "shallow"] = "deep",
        notes: str = "",
    ) -> PluginRevision:
        """Make a revision with another nested configuration; see :meth:`create_revision`."""
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

    def get_run(self, run_id: str) -> PluginRun:
        """Return a run of the experiment, whoever has started it.

        Raises:
            NotFound: It has none of this id or name.
        """
        ...

    def get_metrics(
        self, run_id: str, metric_names: Sequence[str] | str | None = None, *, max_points: int = 200
    ) -> Metrics:
        """Return what a run's script has logged.

        Args:
            run_id: A run of the experiment.
            metric_names: The tags; all by default. One that was not logged has no points, and NaN for its summary.
            max_points: So many points of each tag, from 1 to 10,000, evenly chosen, the newest among them. The summary
                is always of all of them.
        """
        ...

    def get_ranking(self, metric_name: str | None = None, mode: Mode | None = None) -> dict[str, Any]:
        """Return the experiment's configurations over their seeds, the best first, as ``arena ranking --json`` does.

        Args:
            metric_name: ``episodic_return``, or a tag; by default what the plugin compares by that made the runs.
            mode: Whether more of it is better, or less.
        """
        ...

    def get_importance(self, metric_name: str | None = None, mode: Mode | None = None) -> dict[str, Any]:
        """Return how much each hyperparameter has to do with what was reached, as ``arena importance --json`` does.

        Args:
            metric_name: As for :meth:`get_ranking`.
            mode: As for :meth:`get_ranking`.
        """
        ...

    def get_experiment_data(self) -> dict[str, Any]:
        """Return the experiment with its ``revisions``, ``runs`` and ``notes``, as the commands print them as JSON."""
        ...

    def stop_run(self, run_id: str, reason: str = "") -> None:
        """Ask for a run's end at its next boundary, after a last snapshot. One that has ended stays as it is."""
        ...

    def wait_for_completion(
        self, runs: Sequence[PluginRun] | PluginRun, timeout_minutes: float | None = None
    ) -> dict[str, RunEnd]:
        """Wait until all of *runs* are over and return how each ended, by its id.

        Args:
            runs: Runs of the experiment.
            timeout_minutes: When to give up, which a note and the execution's reason tell; by default never.
        """
        ...

    def wait(self, seconds: float = 0.0, minutes: float = 0.0, steps: int = 0) -> None:
        """Wait that long, or until the runs that this execution has started have trained *steps* more, or are over."""
        ...

    def add_note(
        self,
        message: str,
        target_type: Literal["experiment", "run", "revision"] | None = None,
        *,
        key: str | None = None,
    ) -> bool:
        """Write a note, also after a stop, and return whether it was not there yet.

        Args:
            message: Any text.
            target_type: What it is about: by default what the plugin is at work on. ``run`` and ``revision`` mean those
                that this execution has made last.
            key: A note with a key is written once on each target, however often this is called.
        """
        ...

    def save_report(self, name: str, markdown: str, *, files: Mapping[str, bytes] | None = None) -> str:
        """Write a report on the experiment, and return its path. One of the same name is replaced.

        Args:
            name: Its name, without an ending: letters, digits, ``.``, ``_`` and ``-``.
            markdown: Its text.
            files: What it shows, such as plots, by the name under which the text refers to it.
        """
        ...

    def log(self, message: str, level: str = "info", metadata: Mapping[str, Any] | None = None) -> None:
        """Write a line to the execution's own log, for who wrote the plugin."""
        ...

    def mutate_config(self, base: Mapping[str, Any], rate: float = 0.2) -> dict[str, Any]:
        """Return *base* with each number changed at random by up to *rate* of itself, also within mappings and lists.

        Whole numbers stay whole and booleans as they are. A restart of the function draws the same numbers again.
        """
        ...

    def tune(
        self,
        *,
        param_space: SearchSpace,
        num_samples: int | None = None,
        scheduler: Fifo | SeedRace | Asha | Pbt | Schedule = Fifo(),  # noqa: B008 - a value that never changes
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

    def deploy(self, run: PluginRun | str, name: str, *, select: Literal["best", "latest"] = "best") -> int:
        """Let a checkpoint of a run answer under a name, and return the number of the version.

        Args:
            run: A run of the experiment.
            name: The policy's name.
            select: The checkpoint with the highest ``episodic_return``, or the newest.

        Raises:
            NotFound: The run has no checkpoint.
            PolicyUnusable: Its checkpoint holds no policy.
        """
        ...

    def is_llm_available(self) -> bool:
        """Return False: no language model comes with arena_ray."""
        ...

    def llm(self, prompt: str) -> str:
        """Raise :class:`PluginMistake`: ask a language model by its own package."""
        ...
