"""The dimensions of a search space: which values a hyperparameter may take, how they are drawn and moved."""

# ruff: noqa: D102 - Dimension says once what the methods of all kinds do

from __future__ import annotations

import json
import math
import random
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import Field

from arena_ray.model.spec import FlagName, FlagValue, Strict

_Real = int | float


def is_same(one: FlagValue, other: FlagValue) -> bool:
    """Whether both are the same value for a script: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def _is_real(value: FlagValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_real(value: FlagValue) -> _Real | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def exact(value: _Real) -> Fraction:
    """Return the number that is written, not its nearest binary fraction: three times 0.1 is 0.3."""
    return Fraction(repr(float(value))) if isinstance(value, float) else Fraction(value)


def _direction(factor: float) -> int:
    return 1 if factor >= 1 else -1


def _shift(size: float, factor: float, *, width: float) -> float:
    """Return by how much *factor* moves a value of this *size*: upwards if it is above 1.

    At most by the same share of the dimension's *width*, so that 0.99 in [0.9, 0.9999] is not thrown to a bound.
    """
    return _direction(factor) * abs(factor - 1) * min(size, width)


class Dimension(Strict):
    """The values of one hyperparameter. ``when``: it only exists where the others named there have such values."""

    kind: str
    when: dict[FlagName, tuple[FlagValue, ...]] = Field(default_factory=dict)

    @abstractmethod
    def sample(self, rng: random.Random) -> FlagValue:
        """Return a value, drawn by *rng*."""

    @abstractmethod
    def move(self, value: FlagValue, *, factor: float, rng: random.Random) -> FlagValue:
        """Return *value*, one of this dimension's, moved by *factor* and still one of this dimension's."""

    @abstractmethod
    def contains(self, value: FlagValue) -> bool:
        """Whether *value* is one of this dimension's."""

    @abstractmethod
    def suggest(self, trial: Any, name: str) -> FlagValue:
        """Return what *trial*, one of Optuna's, suggests for the hyperparameter *name*."""

    @abstractmethod
    def arguments(self) -> list[Any]:
        """Return what stands behind the kind in the notation."""

    def values(self) -> Iterator[FlagValue]:
        """Return all values, the smallest first; none where they cannot be counted."""
        return iter(())

    def to_data(self) -> dict[str, Any]:
        """Return the dimension as it is written in an experiment file."""
        when = {name: list(values) for name, values in self.when.items()}
        return {self.kind: self.arguments()} | ({"when": when} if when else {})

    def is_active(self, values: Mapping[str, FlagValue]) -> bool:
        """Whether the hyperparameter exists beside *values*."""
        return all(
            name in values and any(is_same(values[name], one) for one in wanted) for name, wanted in self.when.items()
        )


class Uniform(Dimension):
    """Real numbers from ``low`` to ``high``, all alike."""

    kind: Literal["uniform"] = "uniform"
    low: float
    high: float

    def sample(self, rng: random.Random) -> float:
        return self._bounded(rng.uniform(self.low, self.high))

    def move(self, value: FlagValue, *, factor: float, rng: random.Random) -> float:
        real, width = float(_as_real(value) or 0.0), self.high - self.low
        return self._bounded(real + _shift(abs(real) or width, factor, width=width))  # no factor moves a 0

    def contains(self, value: FlagValue) -> bool:
        real = _as_real(value)
        return real is not None and self.low <= real <= self.high

    def suggest(self, trial: Any, name: str) -> float:
        return self._bounded(trial.suggest_float(name, self.low, self.high))

    def arguments(self) -> list[Any]:
        return [self.low, self.high]

    def _bounded(self, value: float) -> float:
        return min(max(value, self.low), self.high)


class LogUniform(Uniform):
    """Real numbers above 0, all orders of magnitude alike."""

    kind: Literal["loguniform"] = "loguniform"  # type: ignore[assignment]

    def sample(self, rng: random.Random) -> float:
        return self._bounded(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))

    def move(self, value: FlagValue, *, factor: float, rng: random.Random) -> float:
        return self._bounded(float(_as_real(value) or self.low) * factor)

    def suggest(self, trial: Any, name: str) -> float:
        return self._bounded(trial.suggest_float(name, self.low, self.high, log=True))


class _Steps(Dimension):
    """Numbers at equal distances."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many values there are."""

    @abstractmethod
    def at(self, index: int) -> _Real:
        """Return the value of this number, from 0."""

    @abstractmethod
    def _index(self, value: _Real) -> Fraction:
        """Return where *value* lies; that of a value of this dimension may be off by a rounding of floats."""

    def sample(self, rng: random.Random) -> _Real:
        return self.at(rng.randrange(self.count))

    def move(self, value: FlagValue, *, factor: float, rng: random.Random) -> _Real:
        real = _as_real(value) or 0
        here = round(self._index(real))
        width = float(self.at(self.count - 1)) - float(self.at(0))
        there = round(self._index(real) + self._index_shift(_shift(abs(float(real)), factor, width=width)))
        if there == here:
            there += _direction(factor)
        return self.at(min(max(there, 0), self.count - 1))

    @abstractmethod
    def _index_shift(self, shift: float) -> Fraction: ...

    def contains(self, value: FlagValue) -> bool:
        real = _as_real(value)
        if real is None:
            return False
        nearest = round(self._index(real))
        return 0 <= nearest < self.count and self.at(nearest) == real

    def values(self) -> Iterator[FlagValue]:
        return (self.at(index) for index in range(self.count))


class RandInt(_Steps):
    """Whole numbers from ``low`` up to, but without, ``high``."""

    kind: Literal["randint"] = "randint"
    low: int
    high: int

    @property
    def count(self) -> int:
        return self.high - self.low

    def suggest(self, trial: Any, name: str) -> int:
        return int(trial.suggest_int(name, self.low, self.high - 1))

    def arguments(self) -> list[Any]:
        return [self.low, self.high]

    def at(self, index: int) -> int:
        return self.low + index

    def _index(self, value: _Real) -> Fraction:
        return Fraction(value) - self.low

    def _index_shift(self, shift: float) -> Fraction:
        return Fraction(shift)


class QUniform(_Steps):
    """Numbers ``low``, ``low + q``, ``low + 2 q``, … up to ``high``; whole ones where all three are whole."""

    kind: Literal["quniform"] = "quniform"
    low: int | float
    high: int | float
    q: int | float

    @property
    def count(self) -> int:
        return (exact(self.high) - exact(self.low)) // exact(self.q) + 1

    def suggest(self, trial: Any, name: str) -> _Real:
        low, high = self.at(0), self.at(self.count - 1)
        ask = trial.suggest_int if self._is_whole else trial.suggest_float
        return self.at(round(self._index(ask(name, low, high, step=self.q))))

    def arguments(self) -> list[Any]:
        return [self.low, self.high, self.q]

    @property
    def _is_whole(self) -> bool:
        return all(isinstance(one, int) for one in (self.low, self.high, self.q))

    def at(self, index: int) -> _Real:
        value = exact(self.low) + index * exact(self.q)
        return int(value) if self._is_whole else float(value)

    def _index(self, value: _Real) -> Fraction:
        return (exact(value) - exact(self.low)) / exact(self.q)

    def _index_shift(self, shift: float) -> Fraction:
        return Fraction(shift) / exact(self.q)


class Choice(Dimension):
    """One of ``options``; numbers among numbers have neighbours."""

    kind: Literal["choice"] = "choice"
    options: Annotated[tuple[FlagValue, ...], Field(min_length=1)]

    def sample(self, rng: random.Random) -> FlagValue:
        return rng.choice(self.options)

    def move(self, value: FlagValue, *, factor: float, rng: random.Random) -> FlagValue:
        if all(map(_is_real, self.options)):
            ordered = list(self.values())
            here = next(at for at, option in enumerate(ordered) if is_same(option, value))
            return ordered[min(max(here + _direction(factor), 0), len(ordered) - 1)]
        others = [option for option in self.options if not is_same(option, value)]
        return rng.choice(others or self.options)

    def contains(self, value: FlagValue) -> bool:
        return is_among(value, self.options)

    def values(self) -> Iterator[FlagValue]:
        if all(map(_is_real, self.options)):
            return iter(sorted(self.options, key=lambda option: _as_real(option) or 0))
        return iter(self.options)

    def suggest(self, trial: Any, name: str) -> FlagValue:
        if not any(isinstance(option, list) for option in self.options):
            chosen: FlagValue = trial.suggest_categorical(name, list(self.options))
            return chosen
        texts = [json.dumps(option) for option in self.options]  # Optuna stores no lists
        return self.options[texts.index(trial.suggest_categorical(name, texts))]

    def arguments(self) -> list[Any]:
        return list(self.options)


def is_among(value: FlagValue, options: Sequence[FlagValue] | Iterable[FlagValue]) -> bool:
    """Whether *value* is one of *options*."""
    return any(is_same(value, option) for option in options)


KINDS: dict[str, type[Dimension]] = {
    "uniform": Uniform,
    "loguniform": LogUniform,
    "quniform": QUniform,
    "randint": RandInt,
    "choice": Choice,
}
AnyDimension = Annotated[Uniform | LogUniform | QUniform | RandInt | Choice, Field(discriminator="kind")]
