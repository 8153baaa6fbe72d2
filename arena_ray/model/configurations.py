"""Runs that differ in nothing but their seeds are one configuration: what it has reached, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

from pydantic import Field

from arena_ray.model.records import Execution, Measure, Record, Run
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import RunState

CONFIDENCE = 0.95
LEAST_TO_RACE = 3


class Configuration(Record):
    """Hyperparameters, and what was reached with them, one score a seed.

    A run without a score counts as worse than any that has one, and is counted in ``missing``. So does one that did not
    come to its end. Where more than a quarter of the seeds are missing there is no interquartile mean; with less than
    two seeds no interval.
    """

    hyperparameters: dict[str, FlagValue]
    env_id: str
    run_ids: list[str]
    """The runs, in the order of ``seeds``."""
    seeds: list[int]
    scores: list[Measure]
    missing: int
    iqm: Measure
    low: Measure
    high: Measure
    probability_of_improvement: Measure = math.nan
    """How likely a run of it is better than one of the configuration after it; NaN for the last."""


class ConfigurationRanking(Record):
    """The configurations of an experiment, the best first. Runs that have not ended yet are left out."""

    experiment: str
    execution_id: str | None
    metric: str
    mode: Literal["max", "min"]
    confidence: float
    configurations: list[Configuration] = Field(default_factory=list)
    unfinished: int = 0
    """Runs that have not ended yet."""


def tuned_names(execution: Execution | None, runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the hyperparameters that are tuned; those in which the runs differ where no plugin names any."""
    settings = execution.settings if execution else {}
    space, schedule = settings.get("param_space"), settings.get("schedule")
    if isinstance(space, dict) and space:
        return tuple(space)
    if isinstance(schedule, list) and schedule:
        return tuple(schedule[0]["hyperparameters"])
    names = dict.fromkeys(name for run in runs for name in run.hyperparameters)
    return tuple(name for name in names if len({repr(run.hyperparameters.get(name)) for run in runs}) > 1)


def mistake_of_seeds(least: int, most: int) -> str | None:
    """Return what is wrong with these numbers of seeds, if anything is."""
    if most < least:
        return f"max_seeds must not be below min_seeds, {least}, but is {most}"
    if least < LEAST_TO_RACE and least < most:
        return (
            f"min_seeds must be at least {LEAST_TO_RACE} where max_seeds is more, but is {least}: "
            "of fewer scores no interval tells whether one is better"
        )
    return None


def final_score(run: Run, score: float) -> float:
    """Return *score* where the run has come to its end with one that is a number, else NaN."""
    return score if run.state is RunState.COMPLETED and math.isfinite(score) else math.nan


def configuration_key(run: Run) -> str:
    """Return what is equal for the runs of one configuration: their revision, unless an exploit has changed the run."""
    return run.run_id if run.generation else run.revision_id


def replications(runs: Iterable[Run]) -> list[list[Run]]:
    """Return the runs that have ended by configuration, one run a seed, in the order in which they were begun.

    Of runs with equal seeds one counts, the first that has completed: another training with the same seed is no other
    replication.
    """
    groups: dict[str, dict[int, Run]] = {}
    for run in runs:
        if run.state.is_final:
            seeds = groups.setdefault(configuration_key(run), {})
            known = seeds.get(run.seed)
            if known is None or (known.state is not RunState.COMPLETED and run.state is RunState.COMPLETED):
                seeds[run.seed] = run
    return [list(seeds.values()) for seeds in groups.values()]


def rank_configurations(
    groups: Iterable[Sequence[Run]],
    scores: Mapping[str, float],
    *,
    mode: str,
    tuned: Sequence[str] = (),
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> list[Configuration]:
    """Return a configuration for each of *groups*, the best first.

    Args:
        groups: Runs that differ in their seeds only, at least one each.
        scores: What each run has reached, by its id; NaN or absent where nothing was measured.
        mode: Whether more is better, or less: ``max`` or ``min``.
        tuned: The hyperparameters that are told; all where none is named.
        confidence: Share of the bootstrap that the intervals hold.
        seed: Of the bootstrap.
    """
    sign = 1.0 if mode == "max" else -1.0
    entries = [(group, [final_score(run, scores.get(run.run_id, math.nan)) for run in group]) for group in groups]
    entries.sort(key=lambda entry: -iqm_of(entry[1], sign=sign))
    ranked = [
        _configuration(group, found, sign=sign, tuned=tuned, confidence=confidence, seed=seed)
        for group, found in entries
    ]
    chances = [_chance(first, second, sign=sign) for (_, first), (_, second) in pairwise(entries)]
    return [
        each.model_copy(update={"probability_of_improvement": chance})
        for each, chance in zip(ranked, [*chances, math.nan], strict=False)
    ]


def iqm_of(scores: Sequence[float], *, sign: float = 1.0) -> float:
    """Return the interquartile mean of *scores* times *sign*, so that more is better; -inf where too many are NaN."""
    if len(scores) == 1:  # the common case needs no NumPy
        return -math.inf if math.isnan(scores[0]) else sign * scores[0]
    from arena_ray.statistics.aggregates import interquartile_mean, missing_as_worst

    return float(interquartile_mean(missing_as_worst([sign * score for score in scores])))


def interval_of(scores: Sequence[float], *, sign: float = 1.0, confidence: float, seed: int) -> tuple[float, float]:
    """Return the bootstrap interval of :func:`iqm_of`; NaN for both where a single score tells nothing of it."""
    if len(scores) < 2:
        return math.nan, math.nan
    from arena_ray.statistics.aggregates import missing_as_worst
    from arena_ray.statistics.bootstrap import bootstrap_interval

    signed = missing_as_worst([sign * score for score in scores])
    return bootstrap_interval(signed, confidence=confidence, seed=seed)


def _configuration(
    group: Sequence[Run], scores: list[float], *, sign: float, tuned: Sequence[str], confidence: float, seed: int
) -> Configuration:
    low, high = interval_of(scores, sign=sign, confidence=confidence, seed=seed)
    low, high = (low, high) if sign > 0 else (-high, -low)
    known = group[0].hyperparameters
    return Configuration(
        hyperparameters={name: known[name] for name in (tuned or known) if name in known},
        env_id=group[0].env_id,
        run_ids=[run.run_id for run in group],
        seeds=[run.seed for run in group],
        scores=scores,
        missing=sum(math.isnan(score) for score in scores),
        iqm=sign * _measured(iqm_of(scores, sign=sign)),
        low=_measured(low),
        high=_measured(high),
    )


def _measured(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def _chance(scores: Sequence[float], others: Sequence[float], *, sign: float) -> float:
    if len(scores) < 2 or len(others) < 2:
        return math.nan
    from arena_ray.statistics.aggregates import missing_as_worst, probability_of_improvement

    ours, theirs = ([sign * score for score in each] for each in (scores, others))
    return probability_of_improvement(missing_as_worst(ours), missing_as_worst(theirs))
