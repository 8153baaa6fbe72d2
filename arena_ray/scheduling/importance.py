"""Hyperparameter importance over configurations that were trained, by Optuna's PED-ANOVA.

Source: Watanabe et al., PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces, 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arena_ray.model.search_space import SearchSpace
from arena_ray.scheduling.search import Trained, ended_trial

EVALUATOR = "PED-ANOVA"
TOP = 0.25
"""Share of the configurations, the best, that are compared with all of them."""
NEEDED = 20
"""So that five are among the best, which the evaluator wants to be stable."""


def shares(
    trained: Sequence[Trained], *, space: SearchSpace | None, names: Sequence[str], mode: str
) -> tuple[dict[str, float], str | None]:
    """Return the share of each of *names* in what makes the best ones the best, or why there is none.

    Args:
        trained: Configurations with what was reached; all of them are numbers.
        space: From where their values were drawn; None where nobody knows, and their own bounds count.
        names: The hyperparameters that were tuned.
        mode: Whether more is better, or less: ``max`` or ``min``.
    """
    if len(trained) < NEEDED:
        return {}, f"{NEEDED} configurations that have ended with a score are needed, and there are {len(trained)}"
    if len({each.score for each in trained}) == 1:
        return {}, "all configurations have reached the same, so no hyperparameter has made a difference"
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize" if mode == "max" else "minimize")
    if space is None:
        values = {name: [each.hyperparameters.get(name) for each in trained] for name in names}
        distributions = {name: _bounds_of(optuna, known) for name, known in values.items() if set(known) - {None}}
        study.add_trials([_trial(optuna, each, distributions) for each in trained])
    else:
        study.add_trials([ended_trial(optuna, space, each) for each in trained])
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=TOP)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator)), None


def _bounds_of(optuna: Any, values: Sequence[Any]) -> Any:
    """Return the distribution that *values* span: numbers from the least to the most, others as choices."""
    known = [value for value in values if value is not None]
    is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    if not is_number:
        return optuna.distributions.CategoricalDistribution(list(dict.fromkeys(map(str, known))))
    if all(isinstance(value, int) for value in known):
        return optuna.distributions.IntDistribution(min(known), max(known))
    return optuna.distributions.FloatDistribution(float(min(known)), float(max(known)))


def _trial(optuna: Any, each: Trained, distributions: dict[str, Any]) -> Any:
    given = each.hyperparameters
    present = {name: given[name] for name in distributions if given.get(name) is not None}
    choices = optuna.distributions.CategoricalDistribution
    return optuna.trial.create_trial(
        params={
            name: str(value) if isinstance(distributions[name], choices) else value for name, value in present.items()
        },
        distributions={name: distributions[name] for name in present},
        value=each.score,
    )
