"""Where a plugin's function is at work: the first thing that it is called with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class PluginContext(Protocol):
    """Where the plugin is at work, and with which settings."""

    @property
    def plugin_name(self) -> str:
        """The plugin's own name."""
        ...

    @property
    def scope(self) -> str:
        """What the plugin is at work on: ``experiment``, ``run`` or ``revision``."""
        ...

    @property
    def target_id(self) -> str:
        """The experiment, the run, or the digest of the revision that does not exist yet."""
        ...

    @property
    def execution_id(self) -> str:
        """This invocation; empty where the plugin looks at a revision."""
        ...

    @property
    def experiment_id(self) -> str:
        """The experiment's id; empty where the first revision of a new experiment is looked at."""
        ...

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        ...

    @property
    def generation(self) -> int:
        """With scope run: how many exploits the run has been through; else 0."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What it is called for.

        With scope run ``name``, ``attempt``, ``global_step``, ``episodic_return`` and ``steps_per_second`` of the run
        at this moment, missing ones NaN; with scope revision the revision as it is proposed: ``runner``, ``script``,
        ``env_id``, ``hyperparameters``, ``flags``, ``config``, ``resources`` and ``checkpoint``; else nothing.
        """
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting that the plugin declares, checked; None where there is neither a value nor a default."""
        ...

    @property
    def should_stop(self) -> bool:
        """Whether the user wants this to end. A function that loops asks in each pass."""
        ...

    def should_continue(self) -> bool:
        """Return the opposite of :attr:`should_stop`."""
        ...
