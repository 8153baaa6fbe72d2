"""Search spaces: which hyperparameters are tuned, and over which values."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from arena_ray.model.dimensions import AnyDimension, Uniform
from arena_ray.model.errors import SpecError
from arena_ray.model.space_notation import read_space
from arena_ray.model.spec import FlagName, FlagValue, Strict


class SearchSpace(Strict):
    """Dimensions by the name of the hyperparameter.

    A dimension with ``when`` is *active* where the hyperparameters named there have one of the values named there;
    where it is not, its hyperparameter is absent. Values under other names than those of dimensions are not looked at.
    """

    dimensions: dict[FlagName, AnyDimension]

    @classmethod
    def parse(cls, value: Any, *, prefix: str = "param_space") -> SearchSpace:
        """Return what *value*, the plain data of an experiment file, says; *prefix* names its place in errors.

        Raises:
            SpecError: One line for each mistake, with the dimension, what is wrong with it and what to do.
        """
        return cls(dimensions=read_space(value, prefix=prefix))

    def to_data(self) -> dict[str, Any]:
        """Return the space as it is written in an experiment file."""
        return {name: dimension.to_data() for name, dimension in self.dimensions.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters, in the order in which they are written."""
        return tuple(self.dimensions)

    def sample(self, rng: random.Random) -> dict[str, FlagValue]:
        """Return values drawn by *rng*, independent of each other."""
        drawn: dict[str, FlagValue] = {}
        for name, dimension in self._parents_first():
            if dimension.is_active(drawn):
                drawn[name] = dimension.sample(rng)
        return self._ordered(drawn)

    def suggest(self, trial: Any) -> dict[str, FlagValue]:
        """Return what *trial*, an ``optuna.Trial``, suggests; it is asked for active dimensions only."""
        suggested: dict[str, FlagValue] = {}
        for name, dimension in self._parents_first():
            if dimension.is_active(suggested):
                suggested[name] = dimension.suggest(trial, name)
        return self._ordered(suggested)

    def perturb(
        self,
        values: Mapping[str, FlagValue],
        *,
        factors: Sequence[float],
        resample_probability: float,
        rng: random.Random,
    ) -> dict[str, FlagValue]:
        """Return *values*, each drawn anew with *resample_probability*, or else moved by one of *factors*.

        Numbers grow by a factor above 1 and shrink by one below. Whole numbers, and numbers on a grid, move by a step
        at least; numbers of a choice to the neighbour; other choices to any other member. Nothing leaves its bounds.
        What is absent from *values*, or lies outside its dimension, is drawn.
        """
        moved: dict[str, FlagValue] = {}
        for name, dimension in self._parents_first():
            if not dimension.is_active(moved):
                continue
            factor, is_resampled = rng.choice(factors), rng.random() < resample_probability
            if is_resampled or name not in values or not dimension.contains(values[name]):
                moved[name] = dimension.sample(rng)
            else:
                moved[name] = dimension.move(values[name], factor=factor, rng=rng)
        return {name: value for name, value in values.items() if name not in self.dimensions} | self._ordered(moved)

    def contains(self, values: Mapping[str, FlagValue]) -> bool:
        """Whether each active dimension has a value of its own among *values*, and no other has one."""
        return all(
            name in values and dimension.contains(values[name]) if dimension.is_active(values) else name not in values
            for name, dimension in self.dimensions.items()
        )

    def grid(self) -> Iterator[dict[str, FlagValue]]:
        """Return each combination of values once; the last dimension changes fastest.

        Raises:
            SpecError: A dimension has more values than can be counted: one line for each.
        """
        mistakes = [
            f"param_space.{name}: {dimension.kind} has no countable values; a grid needs choice, randint or quniform"
            for name, dimension in self.dimensions.items()
            if isinstance(dimension, Uniform)
        ]
        if mistakes:
            raise SpecError("\n".join(mistakes))
        return map(self._ordered, self._combinations(self._parents_first(), {}))

    def _combinations(
        self, dimensions: Sequence[tuple[str, AnyDimension]], chosen: dict[str, FlagValue]
    ) -> Iterator[dict[str, FlagValue]]:
        if not dimensions:
            yield chosen
            return
        (name, dimension), *rest = dimensions
        if not dimension.is_active(chosen):
            yield from self._combinations(rest, chosen)
            return
        for value in dimension.values():
            yield from self._combinations(rest, chosen | {name: value})

    def _parents_first(self) -> list[tuple[str, AnyDimension]]:
        ordered: dict[str, AnyDimension] = {}
        waiting = dict(self.dimensions)
        while waiting:
            ready = {name: one for name, one in waiting.items() if one.when.keys() <= ordered.keys()}
            assert ready, "parse refuses a 'when' that leads back to itself or nowhere"
            ordered |= ready
            waiting = {name: one for name, one in waiting.items() if name not in ready}
        return list(ordered.items())

    def _ordered(self, values: dict[str, FlagValue]) -> dict[str, FlagValue]:
        return {name: values[name] for name in self.dimensions if name in values}
