"""Tuning a script's flags: whether a search space fits them, and how new values are set while the script runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from arena_ray.model.dimensions import AnyDimension, Choice, QUniform, Uniform
from arena_ray.model.errors import SpecError
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import FlagValue
from arena_ray.runner.arguments import flag_mistake
from arena_ray.runner.flag_types import Misfit, fit
from arena_ray.runner.protocol import ScriptArgument, ScriptReport


def check_space(
    space: SearchSpace,
    report: ScriptReport,
    *,
    script: str,
    given: Mapping[str, FlagValue],
    must_be_live: bool,
    permission: str | None = None,
    prefix: str = "param_space",
) -> SearchSpace:
    """Return *space* with its values fitted to the types of the script's flags: 1 for a float becomes 1.0.

    Args:
        space: What is to be tuned.
        report: Of the script.
        script: Its name, for errors.
        given: What the experiment file gives under ``hyperparameters`` and ``flags``.
        must_be_live: Whether values are to be changed while the script runs.
        permission: The setting that would allow to start the script anew for those that cannot, for errors.
        prefix: The place of the space in the experiment file, for errors.

    Raises:
        SpecError: One line for each mistake.
    """
    known = {argument.name: argument for argument in report.arguments}
    fitted: dict[str, AnyDimension] = {}
    mistakes: list[str] = []
    ways_out = ["give it under flags instead", *([f"set {permission}: true"] if permission else [])]
    way_out = ", or ".join(ways_out) if must_be_live else None
    for name, dimension in space.dimensions.items():
        found = list(_mistakes(name, dimension, known, script=script, given=given, way_out=way_out))
        if not found:
            fitted[name] = _fitted(dimension, known[name])
        mistakes += (f"{prefix}.{name}: {mistake}" for mistake in found)
    if mistakes:
        raise SpecError("\n".join(mistakes))
    return SearchSpace(dimensions=fitted)


def live_set(
    report: ScriptReport, values: Mapping[str, FlagValue], *, flags: Mapping[str, FlagValue] | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what the harness is to set so that *values* hold from the next boundary on.

    Values of flags that cannot be changed while the script runs are left out.

    Args:
        report: Of the script.
        values: By flag.
        flags: The other flags that the script was started with: they say which optimizers it has built. Where they
            are silent the script's defaults count.
    """
    known = {argument.name: argument for argument in report.arguments}
    live = {
        name: value
        for name, value in values.items()
        if name in known and known[name].fixed_line is None and known[name].overwritten_line is None
    }
    truths = {name: bool(one.default) for name, one in known.items()}
    truths |= {name: bool(value) for name, value in {**(flags or {}), **values}.items()}
    groups: dict[str, dict[str, Any]] = {}
    for name, value in live.items():
        conditions = known[name].group_conditions
        for variable, key in known[name].group_keys:
            if all(truths.get(flag) is truth for one, flag, truth in conditions if one == variable):
                groups.setdefault(variable, {})[key] = value
    attributes: dict[str, dict[str, Any]] = {holder: dict(live) for holder in report.holders} if live else {}
    for name, value in live.items():
        for variable, attribute in known[name].kept_as:
            attributes.setdefault(variable, {})[attribute] = value
    return {"attributes": attributes, "groups": groups}


def _mistakes(
    name: str,
    dimension: AnyDimension,
    known: Mapping[str, ScriptArgument],
    *,
    script: str,
    given: Mapping[str, FlagValue],
    way_out: str | None,
) -> Iterator[str]:
    """Yield what speaks against the dimension; one that is fixed needs a *way_out*, unless that is None."""
    mistake = flag_mistake(name, known, script)
    if mistake is not None:
        yield mistake
        return
    argument = known[name]
    if name in given:
        yield "given under hyperparameters or flags too; keep one of them"
    if way_out is not None and argument.fixed_line is not None:
        yield f"cannot be changed while {script} runs: line {argument.fixed_line} {argument.fixed_why}; {way_out}"
    yield from _misfits(dimension, argument, script)


def _misfits(dimension: AnyDimension, argument: ScriptArgument, script: str) -> Iterator[str]:
    takes = f"{script} takes {argument.type}"
    if isinstance(dimension, Choice):
        yield from (f"{takes}, not {option!r}" for option in dimension.options if not _fits(option, argument))
    elif isinstance(dimension, Uniform):
        if not _fits(0.5, argument):
            hint = "use randint, or quniform of whole numbers" if _fits(1, argument) else "use choice"
            yield f"{takes}, and {dimension.kind} gives any number between its bounds; {hint}"
    else:
        ends = dimension.arguments() if isinstance(dimension, QUniform) else [dimension.low, dimension.high - 1]
        misfit = next((value for value in ends if not _fits(value, argument)), None)
        if misfit is not None:
            yield f"{takes}, not {misfit!r}; {'give whole numbers' if _fits(1, argument) else 'use choice'}"


def _fits(value: FlagValue, argument: ScriptArgument) -> bool:
    try:
        fit(value, argument.type)
    except Misfit:
        return False
    return True


def _fitted(dimension: AnyDimension, argument: ScriptArgument) -> AnyDimension:
    if isinstance(dimension, Choice):
        return dimension.model_copy(update={"options": tuple(fit(one, argument.type) for one in dimension.options)})
    if isinstance(dimension, QUniform):
        low, high, q = (fit(one, argument.type) for one in dimension.arguments())
        return dimension.model_copy(update={"low": low, "high": high, "q": q})
    return dimension
