"""Hyperparameter sweeps: on a grid, at random or by Optuna, with early stopping by ASHA or a race between seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arena_ray.model.configurations import mistake_of_seeds
from arena_ray.model.errors import SpecError
from arena_ray.plugin import (
    Asha,
    Fifo,
    GridSearch,
    PluginApi,
    PluginContext,
    RandomSearch,
    SeedRace,
    StudyResult,
    Tpe,
    register_plugin,
    seed_report,
)


def check(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the settings."""
    return [*_mistakes_of_search(settings), *_mistakes_of_scheduler(settings), *_mistakes_of_seeds(settings)]


def _mistakes_of_search(settings: Mapping[str, Any]) -> list[str]:
    search, count, space = settings["search"], settings["num_samples"], settings["param_space"]
    if search in ("random", "tpe"):
        return [] if count else [f"num_samples is needed with search: {search}"]
    mistakes = []
    if search == "grid" and count:
        mistakes.append("num_samples has no effect with search: grid, which takes every combination once")
    if search == "grid" and space:
        try:
            next(iter(space.grid()))
        except SpecError as exc:
            mistakes += str(exc).splitlines()
    return mistakes


def _mistakes_of_scheduler(settings: Mapping[str, Any]) -> list[str]:
    first, last = settings["grace_period"], settings["max_steps"]
    if settings["scheduler"] == "none":
        given = [name for name in ("grace_period", "max_steps") if settings[name]]
        return [f"{name} has no effect without scheduler: asha" for name in given]
    if settings["scheduler"] == "asha" and not first:
        return ["grace_period is needed with scheduler: asha"]
    if first and last and last < first:
        return [f"max_steps must not be below grace_period, {first}, but is {last}"]
    return []


def _mistakes_of_seeds(settings: Mapping[str, Any]) -> list[str]:
    least, most, confidence = settings["min_seeds"], settings["max_seeds"], settings["confidence"]
    mistakes = []
    if confidence is not None and not 0 < confidence < 1:
        mistakes.append(f"confidence must lie between 0 and 1, but is {confidence:g}")
    if least is None:
        return mistakes
    if mistake := mistake_of_seeds(least, most or least):
        mistakes.append(mistake)
    if max(least, most or least) > 1 and settings["scheduler"] == "asha":
        mistakes.append(
            "min_seeds and max_seeds have no effect with scheduler: asha: "
            "what it stops early has no score that could be compared over seeds"
        )
    return mistakes


@register_plugin(
    name="hyperparameter_sweeper",
    scope="experiment",
    description="Hyperparameter sweep: grid, random or TPE, with or without early stopping by ASHA",
    icon="🔍",
    author="arena_ray",
    tags=["hyperparameters", "sweep"],
    check=check,
    settings_schema={
        "param_space": {
            "type": "search_space",
            "required": True,
            "description": "The hyperparameters that are tried, each with its values.",
        },
        "search": {
            "type": "choice",
            "default": "random",
            "options": ["grid", "random", "tpe"],
            "description": "Every combination once, samples at random, or samples that Optuna's TPE proposes.",
        },
        "num_samples": {
            "type": "int",
            "min": 1,
            "description": "Samples, a run each and seed; needed but for search: grid.",
        },
        "scheduler": {
            "type": "choice",
            "default": "none",
            "options": ["none", "asha"],
            "description": "Whether every run trains to its end, or ASHA stops the worse ones early.",
        },
        "grace_period": {
            "type": "int",
            "min": 1,
            "description": "Steps before which ASHA stops nothing; needed for it.",
        },
        "reduction_factor": {
            "type": "int",
            "default": 4,
            "min": 2,
            "description": "At each rung of ASHA, one in so many goes on.",
        },
        "max_steps": {
            "type": "int",
            "min": 1,
            "description": "Steps above which ASHA stops nothing; else the script's total.",
        },
        "metric": {
            "type": "string",
            "default": "episodic_return",
            "min": 1,
            "description": "What the runs are judged by: episodic_return, or a tag that the script logs.",
        },
        "mode": {
            "type": "choice",
            "default": "max",
            "options": ["max", "min"],
            "description": "Whether more of it is better, or less.",
        },
        "max_concurrent": {
            "type": "int",
            "min": 1,
            "description": "Runs under way at once; else as many as there are resources for.",
        },
        "n_startup": {
            "type": "int",
            "default": 10,
            "min": 1,
            "description": "Samples that are drawn at random before TPE proposes any.",
        },
        "min_seeds": {
            "type": "int",
            "default": 1,
            "min": 1,
            "description": "Seeds that each sample is trained with; it is judged by its interquartile mean over them.",
        },
        "max_seeds": {
            "type": "int",
            "min": 1,
            "description": "Seeds up to which those samples get more that are close to the best; else min_seeds.",
        },
        "confidence": {
            "type": "float",
            "default": 0.95,
            "min": 0,
            "max": 1,
            "description": "How sure the intervals are whose overlap means close.",
        },
    },
)
def hyperparameter_sweeper(context: PluginContext, api: PluginApi) -> StudyResult:
    """Train a run for each sample of the search space, or one a seed."""
    settings = context.settings
    searches: dict[str, GridSearch | RandomSearch | Tpe] = {
        "grid": GridSearch(),
        "random": RandomSearch(),
        "tpe": Tpe(n_startup=settings["n_startup"]),
    }
    scheduler: Fifo | Asha = Fifo()
    if settings["scheduler"] == "asha":
        scheduler = Asha(
            grace_period=settings["grace_period"],
            reduction_factor=settings["reduction_factor"],
            max_steps=settings["max_steps"],
        )
    most_seeds = settings["max_seeds"] or settings["min_seeds"]
    if most_seeds > 1:
        scheduler = SeedRace(min_seeds=settings["min_seeds"], max_seeds=most_seeds, confidence=settings["confidence"])
    result = api.tune(
        param_space=settings["param_space"],
        num_samples=settings["num_samples"],
        scheduler=scheduler,
        search_alg=searches[settings["search"]],
        metric=settings["metric"],
        mode=settings["mode"],
        max_concurrent=settings["max_concurrent"],
    )
    if result.configurations:
        api.add_note(seed_report(result))
    return result
