"""What an experiment file asks of a plugin, checked before anything is started."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from arena_ray.model.dimensions import AnyDimension
from arena_ray.model.errors import SpecError
from arena_ray.model.schedule import Schedule
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import ExperimentSpec, FlagValue, PluginCall
from arena_ray.model.states import Scope
from arena_ray.plugin.catalog import Plugins
from arena_ray.plugin.discovery import KEYS
from arena_ray.plugin.schema import check_settings
from arena_ray.plugin.setting import Setting
from arena_ray.runner.preflight import Submission
from arena_ray.runner.tuning import check_space


@dataclass(frozen=True)
class CheckedPlugin:
    """A plugin that is to be at work, with its settings as JSON can hold them, defaults filled in."""

    name: str
    settings: dict[str, Any]


def check_plugin(submission: Submission, plugins: Plugins, *, is_revision: bool = False) -> CheckedPlugin | None:
    """Return the plugin that is to steer the submission; None where none is.

    Args:
        submission: What is to be trained.
        plugins: Where the plugin is looked up.
        is_revision: Whether it is a revision that there is: its hyperparameters may be tuned, and give way then.

    Raises:
        SpecError: One line for each mistake in its settings, or in a search space: the script must take what is
            searched.
    """
    call = submission.spec.plugin
    if call is None:
        return None
    return _check(call, Scope.EXPERIMENT, submission, plugins, place="plugin", is_revision=is_revision)


def check_plugins(submission: Submission, plugins: Plugins, scope: Scope) -> list[CheckedPlugin]:
    """Return the plugins with scope run or revision: those that the submission names, and those that always are.

    Raises:
        SpecError: One line for each mistake.
    """
    spec, key = submission.spec, KEYS[scope]
    calls = [*(spec.run_plugins if scope is Scope.RUN else spec.revision_plugins)]
    named = {call.name for call in calls}
    checked, mistakes = [], []
    for index, call in enumerate(calls):
        try:
            checked.append(_check(call, scope, submission, plugins, place=f"{key}.{index}"))
        except SpecError as exc:
            mistakes += str(exc).splitlines()
    if len(named) < len(calls):
        mistakes.append(f"{key}: names a plugin twice")
    if mistakes:
        raise SpecError("\n".join(mistakes))
    for always in plugins.describe():
        if always.enabled_by_default and always.scope is scope and always.name not in named and not always.problem:
            call = PluginCall(name=always.name)
            checked.append(_check(call, scope, submission, plugins, place=f"plugin {always.name}, on by default"))
    return checked


def _check(
    call: PluginCall,
    scope: Scope,
    submission: Submission,
    plugins: Plugins,
    *,
    place: str,
    is_revision: bool = False,
) -> CheckedPlugin:
    plugin = plugins.require(call.name, scope=scope)
    place = f"{place}.settings"
    settings = check_settings(plugin.schema, call.settings, place=place)
    given = {**({} if is_revision else submission.spec.hyperparameters), **submission.spec.flags}
    mistakes: list[str] = []
    for name, value in settings.items():
        if isinstance(value, SearchSpace | Schedule):
            setting = plugin.schema.settings[name]
            try:
                settings[name] = _fitted(value, setting, settings, submission, given, place=place).to_data()
            except SpecError as exc:
                mistakes.append(str(exc))
    if mistakes:
        raise SpecError("\n".join(mistakes))
    return CheckedPlugin(call.name, settings)


def _fitted(
    value: SearchSpace | Schedule,
    setting: Setting,
    settings: dict[str, Any],
    submission: Submission,
    given: dict[str, FlagValue],
    *,
    place: str,
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
                prefix=f"{place}.{setting.name}",
            ).dimensions
        except SpecError as exc:
            mistakes.append(str(exc))
    if mistakes:
        raise SpecError("\n".join(mistakes))
    space = SearchSpace(dimensions=fitted)
    return value.fitted(space) if isinstance(value, Schedule) else space


def execution_digest(spec: ExperimentSpec, plugin: CheckedPlugin, *, bundle: str) -> str:
    """Return the sha256 of all that makes one plugin execution the same as another."""
    return _digest([spec.digest(), bundle, spec.seed, plugin.name, plugin.settings])


def watch_digest(plugin: CheckedPlugin) -> str:
    """Return the same of one that looks at runs: at all of the experiment, whatever they train."""
    return _digest([Scope.RUN, plugin.name, plugin.settings])


def _digest(parts: list[Any]) -> str:
    content = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
