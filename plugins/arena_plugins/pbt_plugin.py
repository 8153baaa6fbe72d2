"""Population-based training: losers take over the winners' weights while they run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arena_ray.plugin import Pbt, PluginApi, PluginContext, SearchSpace, StudyResult, register_plugin


def check(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the settings."""
    mistakes = []
    if settings["quantile_fraction"] == 0:
        mistakes.append("quantile_fraction must be above 0: nobody would ever be replaced")
    factors = settings["perturbation_factors"] or []
    if not all(isinstance(factor, int | float) and factor > 0 for factor in factors):
        mistakes.append(f"perturbation_factors must be two numbers above 0, not {factors}")
    space = settings["param_space"]
    if settings["explore"] == "pb2" and space and not _has_numbers(space):
        mistakes.append("explore: pb2 proposes numbers, and param_space has only choices; use explore: perturb")
    return mistakes


def _has_numbers(space: SearchSpace) -> bool:
    parents = {name for dimension in space.dimensions.values() for name in dimension.when}
    return any(each.kind != "choice" and name not in parents for name, each in space.dimensions.items())


@register_plugin(
    name="pbt",
    scope="experiment",
    description="Population-based training: the worst take over weights and hyperparameters of the best",
    icon="🧬",
    author="arena_ray",
    tags=["hyperparameters", "population"],
    check=check,
    settings_schema={
        "population": {"type": "int", "default": 4, "min": 2, "description": "Runs that are raced."},
        "metric": {
            "type": "string",
            "default": "episodic_return",
            "min": 1,
            "description": "What they are judged by: episodic_return, or a tag that the script logs.",
        },
        "mode": {
            "type": "choice",
            "default": "max",
            "options": ["max", "min"],
            "description": "Whether more of it is better, or less.",
        },
        "perturbation_interval": {
            "type": "int",
            "required": True,
            "min": 1,
            "description": "Steps from one comparison to the next.",
        },
        "param_space": {
            "type": "search_space",
            "required": True,
            "live": "allow_restart",
            "description": "The hyperparameters that are tuned, each with its values.",
        },
        "allow_restart": {
            "type": "boolean",
            "default": False,
            "description": "Whether a run may start anew, warm, to change what is fixed while its script runs.",
        },
        "quantile_fraction": {
            "type": "float",
            "default": 0.25,
            "min": 0,
            "max": 0.5,
            "description": "Share of the population that is replaced, and share that it is replaced by; above 0.",
        },
        "resample_probability": {
            "type": "float",
            "default": 0.25,
            "min": 0,
            "max": 1,
            "description": "How often a hyperparameter is drawn anew instead of changed by a factor.",
        },
        "perturbation_factors": {
            "type": "list",
            "default": [1.2, 0.8],
            "min": 2,
            "max": 2,
            "description": "By what a hyperparameter is multiplied: by one of these, at random.",
        },
        "explore": {
            "type": "choice",
            "default": "perturb",
            "options": ["perturb", "pb2"],
            "description": "Whether the better run's values are changed by chance, or its numbers are proposed by PB2.",
        },
        "min_gap": {
            "type": "float",
            "default": 0.1,
            "min": 0,
            "description": "A run that is nearer to the better one than this share of its score is left alone.",
        },
        "synchronous": {
            "type": "boolean",
            "default": False,
            "description": "Whether at each comparison all runs wait for each other.",
        },
    },
)
def pbt(context: PluginContext, api: PluginApi) -> StudyResult:
    """Race a population of runs, each with a seed of its own."""
    settings = context.settings
    first, second = settings["perturbation_factors"]
    return api.tune(
        param_space=settings["param_space"],
        num_samples=settings["population"],
        scheduler=Pbt(
            perturbation_interval=settings["perturbation_interval"],
            quantile_fraction=settings["quantile_fraction"],
            resample_probability=settings["resample_probability"],
            perturbation_factors=(first, second),
            min_gap=settings["min_gap"],
            synchronous=settings["synchronous"],
            explore=settings["explore"],
        ),
        metric=settings["metric"],
        mode=settings["mode"],
        vary_seed=True,
    )
