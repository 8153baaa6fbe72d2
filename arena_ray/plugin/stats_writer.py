"""The door for stats writers, in the shape of ML-Agents' own: given what a run logs, they write it where they like.

A package announces a registration function by an entry point, in the group ``arena_ray.stats_writer`` or
``mlagents.stats_writer``. It takes the run's :class:`RunOptions`, or nothing, and returns a list of writers. Standard
library only.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

INTERFACE_VERSION = 1
"""Rises with each change that a writer written for an earlier one would notice."""

GROUP = "arena_ray.stats_writer"
ML_AGENTS_STATS_WRITER = "mlagents.stats_writer"

CUMULATIVE_REWARD = "Environment/Cumulative Reward"
"""Key of the return of each finished episode, whatever the script calls it: ML-Agents' writers look for it."""
EPISODE_LENGTH = "Environment/Episode Length"
"""Key of its length."""


class StatsAggregationMethod(Enum):
    """What stands for all values of a key in a summary period."""

    AVERAGE = 0
    MOST_RECENT = 1
    SUM = 2
    HISTOGRAM = 3


class StatsPropertyType(Enum):
    """What kind of property a writer is told of."""

    HYPERPARAMETERS = "hyperparameters"
    SELF_PLAY = "selfplay"


class StatsSummary(NamedTuple):
    """All values of one key in one summary period, in their order."""

    full_dist: list[float]
    aggregation_method: StatsAggregationMethod

    @staticmethod
    def empty() -> StatsSummary:
        """Return the summary of a key without values."""
        return StatsSummary([], StatsAggregationMethod.AVERAGE)

    @property
    def aggregated_value(self) -> float:
        """The sum where that is the method, else the mean."""
        return self.sum if self.aggregation_method is StatsAggregationMethod.SUM else self.mean

    @property
    def mean(self) -> float:
        """Mean of the values; NaN without any."""
        return self.sum / self.num if self.full_dist else math.nan

    @property
    def std(self) -> float:
        """Standard deviation of the values as a whole population; NaN without any."""
        mean = self.mean
        return math.sqrt(sum((x - mean) * (x - mean) for x in self.full_dist) / self.num) if self.num else math.nan

    @property
    def num(self) -> int:
        """How many values."""
        return len(self.full_dist)

    @property
    def sum(self) -> float:
        """Sum of the values."""
        return float(sum(self.full_dist))


class StatsWriter(abc.ABC):
    """What a registration function returns. A class with the same methods that derives from nothing does as well.

    Each writer is called in a thread of its own. One that raises is dropped, and the run's log says so.
    """

    def on_add_stat(  # noqa: B027 - optional, as in ML-Agents
        self,
        category: str,
        key: str,
        value: float,
        aggregation: StatsAggregationMethod = StatsAggregationMethod.AVERAGE,
    ) -> None:
        """Be told of a single value, as soon as it was logged."""

    @abc.abstractmethod
    def write_stats(self, category: str, values: Mapping[str, StatsSummary], step: int) -> None:
        """Write a summary period.

        Args:
            category: Name of the run.
            values: All that was logged since the last period, by key.
            step: Where the period ends.
        """

    def add_property(  # noqa: B027 - optional, as in ML-Agents
        self, category: str, property_type: StatsPropertyType, value: Any
    ) -> None:
        """Be told of the hyperparameters: when the attempt begins, and when they change while it trains."""


@dataclass(frozen=True)
class CheckpointSettings:
    """Where a run's own directory is, in ML-Agents' words."""

    run_id: str
    """The run's name, which is also that of its directory."""
    results_dir: str
    """Where the directories of all runs are."""
    resume: bool
    """Whether this attempt goes on from a checkpoint."""
    force: bool = False
    inference: bool = False

    @property
    def write_path(self) -> str:
        """The run's own directory; it exists."""
        return str(Path(self.results_dir) / self.run_id)


@dataclass(frozen=True)
class EnvironmentSettings:
    """What is known of the environment."""

    seed: int


@dataclass(frozen=True)
class RunFacts:
    """What ML-Agents has no word for."""

    run_id: str
    """As the registry and the commands know the run."""
    attempt: int
    experiment: str
    revision: int
    runner: str
    script: str
    env_id: str
    hyperparameters: Mapping[str, Any]
    """As far as they are known: the flags that the script was given, and the defaults that its source writes out."""


@dataclass(frozen=True)
class RunOptions:
    """What a registration function is told of its run. It has no attribute that would have to be made up."""

    checkpoint_settings: CheckpointSettings
    env_settings: EnvironmentSettings
    arena: RunFacts
    interface_version: int = INTERFACE_VERSION

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as mappings."""
        return asdict(self)


def options_from_data(data: Mapping[str, Any]) -> RunOptions:
    """Return the options that :meth:`RunOptions.as_dict` made *data* of."""
    return RunOptions(
        CheckpointSettings(**data["checkpoint_settings"]),
        EnvironmentSettings(**data["env_settings"]),
        RunFacts(**data["arena"]),
    )
