"""What an experiment file asks of a plugin, checked before anything is started."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from arena_ray.model.dimensions import AnyDimension
from arena_ray.model.errors import SpecError
from arena_ray.model.schedule import Schedule
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import ExperimentSpec, FlagValue
from arena_ray.plugin.catalog import Plugins
from arena_ray.plugin.schema import check_settings
from arena_ray.plugin.setting import Setting
from arena_ray.runner.preflight import Submission
from arena_ray.runner.tuning import check_space

PLACE = "plugin.settings"


def check_plugin(submission: Submission, plugins: Plugins, *, is_revision: bool = False) -> dict[str, Any] | None:
    """Return the settings of the submission's plugin as JSON can hold them, defaults filled in; None without one.

    Args:
        submission: What is to be trained.
        plugins: Where the plugin is looked up.
        is_revision: Whether it is a revision that there is: its hyperparameters may be tuned, and give way then.

    Raises:
        SpecError: One line for each mistake in them, or in a search space: the script must take what is searched.
    """
    call = submission.spec.plugin
    if call is None:
        return None
    plugin = plugins.require(call.name)
    settings = check_settings(plugin.schema, call.settings, place=PLACE)
    given = {**({} if is_revision else submission.spec.hyperparameters), **submission.spec.flags}
    mistakes: list[str] = []
    for name, value in settings.items():
        if isinstance(value, SearchSpace | Schedule):
            try:
                settings[name] = _fitted(value, plugin.schema.settings[name], settings, submission, given).to_data()
            except SpecError as exc:
                mistakes.append(str(exc))
    if mistakes:
        raise SpecError("\n".join(mistakes))
    return settings


def _fitted(
    value: SearchSpace | Schedule,
    setting: Setting,
    settings: dict[str, Any],
    submission: Submission,
    given: dict[str, FlagValue],
) -> SearchSpace | Schedule:
    """Return *value* with its values fitted to the types of the script's flags."""
    space = value.space() if isinstance(value, Schedule) else value
    # What a schedule leaves as it begins is given to the script when it starts, like a flag.
    changing = value.changing if isinstance(value, Schedule) else space.names
    fitted: dict[str, AnyDimension] = {}
    mistakes: list[str] = []
    for name, dimension in space.dimensions.items():
        try:
            fitted |= check_space(
                SearchSpace(dimensions={name: dimension}),
                submission.report,
                script=submission.spec.script,
                given=given,
                must_be_live=setting.must_be_live(settings) and name in changing,
                permission=setting.live if isinstance(setting.live, str) else None,
                prefix=f"{PLACE}.{setting.name}",
            ).dimensions
        except SpecError as exc:
            mistakes.append(str(exc))
    if mistakes:
        raise SpecError("\n".join(mistakes))
    space = SearchSpace(dimensions=fitted)
    return value.fitted(space) if isinstance(value, Schedule) else space


def execution_digest(spec: ExperimentSpec, settings: dict[str, Any], *, bundle: str) -> str:
    """Return the sha256 of all that makes one plugin execution the same as another."""
    plugin = spec.plugin.name if spec.plugin else ""
    content = json.dumps([spec.digest(), bundle, spec.seed, plugin, settings], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
