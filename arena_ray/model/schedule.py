"""A schedule of hyperparameters: which values a run begins with, and at which steps they become others."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

from pydantic import Field, ValidationError

from arena_ray.model.dimensions import Choice
from arena_ray.model.errors import SpecError
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import FlagName, FlagValue, Strict

_FORM = "a list of mappings such as {step: 0, hyperparameters: {learning_rate: 2.5e-4}}"


class Change(Strict):
    """From *step* on these hyperparameters hold; those that are not named stay as they are."""

    step: Annotated[int, Field(ge=0)]
    hyperparameters: Annotated[dict[FlagName, FlagValue], Field(min_length=1)]


class Schedule(Strict):
    """Hyperparameters over the steps of a run. The first of the changes is at step 0 and names all of them."""

    changes: Annotated[tuple[Change, ...], Field(min_length=1)]

    @classmethod
    def parse(cls, value: Any, *, prefix: str = "schedule") -> Schedule:
        """Return what *value*, the plain data of an experiment file, says; *prefix* names its place in errors.

        Raises:
            SpecError: One line for each mistake.
        """
        if not isinstance(value, list | tuple) or not value:
            raise SpecError(f"{prefix}: must be {_FORM}, not {value!r}")
        changes, mistakes = [], []
        for number, item in enumerate(value):
            try:
                changes.append(Change.model_validate(item))
            except ValidationError as exc:
                error = exc.errors(include_url=False)[0]
                where = "".join(f".{part}" for part in error["loc"])
                mistakes.append(
                    f"{prefix}[{number}]{where}: {error['msg'][0].lower()}{error['msg'][1:]}; write {_FORM}"
                )
        mistakes = mistakes or [f"{prefix}[{number}]: {told}" for number, told in _contradictions(changes)]
        if mistakes:
            raise SpecError("\n".join(mistakes))
        return cls(changes=tuple(changes))

    def to_data(self) -> list[dict[str, Any]]:
        """Return the schedule as it is written in an experiment file."""
        return [change.model_dump(mode="json") for change in self.changes]

    @property
    def first(self) -> dict[str, FlagValue]:
        """The values at step 0."""
        return self.changes[0].hyperparameters

    @property
    def steps(self) -> tuple[int, ...]:
        """Where values become others; 0 is not among them."""
        return tuple(change.step for change in self.changes[1:])

    @property
    def changing(self) -> frozenset[str]:
        """The hyperparameters that are named again after step 0."""
        return frozenset(name for change in self.changes[1:] for name in change.hyperparameters)

    def after(self, count: int) -> dict[str, FlagValue]:
        """Return the values that hold once *count* of the :attr:`steps` have been reached."""
        values: dict[str, FlagValue] = {}
        for change in self.changes[: count + 1]:
            values |= change.hyperparameters
        return values

    def space(self) -> SearchSpace:
        """Return a dimension for each hyperparameter with all values that it takes, in their order, equal ones too."""
        options: dict[str, list[FlagValue]] = {name: [] for name in self.first}
        for change in self.changes:
            for name, value in change.hyperparameters.items():
                options[name].append(value)
        return SearchSpace(dimensions={name: Choice(options=tuple(values)) for name, values in options.items()})

    def fitted(self, space: SearchSpace) -> Schedule:
        """Return the schedule with the values of *space*, which is :meth:`space` fitted to the types of a script."""
        values = {name: iter(dimension.arguments()) for name, dimension in space.dimensions.items()}
        changes = (
            change.model_copy(update={"hyperparameters": {name: next(values[name]) for name in change.hyperparameters}})
            for change in self.changes
        )
        return Schedule(changes=tuple(changes))


def _contradictions(changes: list[Change]) -> list[tuple[int, str]]:
    found = []
    if changes[0].step != 0:
        found.append((0, f"is to be at step 0, not {changes[0].step}: it says with which values the run begins"))
    first: Mapping[str, FlagValue] = changes[0].hyperparameters
    for number, (before, change) in enumerate(pairwise(changes), start=1):
        if change.step <= before.step:
            found.append((number, f"step {change.step} must come after {before.step}, that of the change before it"))
        found += [
            (number, f"{name} has no value before step {change.step}; give one at step 0")
            for name in change.hyperparameters
            if name not in first
        ]
    return found
