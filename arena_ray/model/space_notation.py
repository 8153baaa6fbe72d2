"""How a search space is written: each mistake is told, in one line, with what to do about it."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from arena_ray.model.dimensions import KINDS, AnyDimension, Dimension, exact, is_among
from arena_ray.model.errors import SpecError, nearest
from arena_ray.model.spec import FlagValue

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LARGEST = 1e300
_ANY: TypeAdapter[AnyDimension] = TypeAdapter(AnyDimension)


class _Mistake(ValueError):
    """Something is wrong with a dimension."""


def read_space(value: Any, *, prefix: str) -> dict[str, AnyDimension]:
    """Return the dimensions that *value* describes; *prefix* names its place in errors.

    Raises:
        SpecError: One line for each mistake.
    """
    if not isinstance(value, Mapping) or not value:
        raise SpecError(
            f"{prefix}: a mapping of hyperparameters to dimensions is expected, such as "
            f"learning_rate: {{loguniform: [1e-5, 1e-2]}} (got {_shown(value)})"
        )
    dimensions: dict[str, AnyDimension] = {}
    mistakes: list[str] = []
    for name, data in value.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            mistakes.append(f"{prefix}: {_shown(name)} is no name of a flag; letters, digits and _ make one")
            continue
        try:
            dimensions[name] = _read_dimension(data)
        except _Mistake as exc:
            mistakes.append(f"{prefix}.{name}: {exc}")
    known = {name: dimensions.get(name) for name in value if isinstance(name, str) and _NAME.fullmatch(name)}
    for name, dimension in dimensions.items():
        mistakes += (f"{prefix}.{name}: {mistake}" for mistake in _wrong_conditions(name, dimension, known))
    if mistakes:
        raise SpecError("\n".join(mistakes))
    return dimensions


def _read_dimension(data: Any) -> AnyDimension:
    if not isinstance(data, Mapping):
        raise _Mistake(
            "a dimension is a mapping of its kind to its values, such as {choice: [1, 2]} or {uniform: [0, 1]} "
            f"(got {_shown(data)})"
        )
    kinds = [key for key in data if key != "when"]
    unknown = [key for key in kinds if key not in KINDS]
    if unknown:
        hint = nearest(str(unknown[0])[:40], [*KINDS, "when"]) if isinstance(unknown[0], str) else nearest("", KINDS)
        raise _Mistake(f"{_shown(unknown[0])} is no kind of dimension; {hint}")
    if len(kinds) != 1:
        found = " and ".join(kinds) if kinds else "none"
        raise _Mistake(f"one kind is needed (got {found}); {nearest('', KINDS)}")
    fields = _READERS[kinds[0]](data[kinds[0]])
    return _ANY.validate_python({"kind": kinds[0], **fields, "when": _read_when(data.get("when", {}))})


def _read_when(data: Any) -> dict[str, tuple[FlagValue, ...]]:
    if not isinstance(data, Mapping) or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in data):
        raise _Mistake(
            f"'when' is a mapping of another dimension to its values, such as {{anneal_lr: true}} (got {_shown(data)})"
        )
    when: dict[str, tuple[FlagValue, ...]] = {}
    for name, wanted in data.items():
        values = wanted if isinstance(wanted, list | tuple) else [wanted]
        if not values or not all(map(_is_flag_value, values)):
            raise _Mistake(f"'when' gives {_shown(name)} no value or list of values (got {_shown(wanted)})")
        when[name] = tuple(map(_plain, values))
    return when


def _wrong_conditions(name: str, dimension: Dimension, known: Mapping[str, Dimension | None]) -> Iterator[str]:
    for parent, wanted in dimension.when.items():
        if parent not in known:
            hint = nearest(parent[:80], known.keys() - {name})
            yield f"'when' names {_shown(parent)}, which is no dimension here; {hint}"
            continue
        if _leads_back(name, parent, known):
            yield f"its 'when' leads back to itself by way of {parent!r}; take one of them out"
            continue
        other = known[parent]
        never = [value for value in wanted if other is not None and not other.contains(value)]
        if never:
            yield f"'when' waits for {parent} to be {_shown(never[0])}, which it never is ({_notation(other)})"


def _leads_back(start: str, parent: str, known: Mapping[str, Dimension | None]) -> bool:
    seen: set[str] = set()
    waiting = [parent]
    while waiting:
        here = waiting.pop()
        if here == start:
            return True
        dimension = known.get(here)
        if here not in seen and dimension is not None:
            seen.add(here)
            waiting += dimension.when
    return False


def _notation(dimension: Dimension | None) -> str:
    return f"{dimension.kind}: {_shown(dimension.arguments())}" if dimension else ""


def _real(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def _whole(value: Any) -> bool:
    return _real(value) and (isinstance(value, int) or value.is_integer())


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)  # no UTF-8 for these
    return value is None or isinstance(value, bool) or _real(value)


def _is_flag_value(value: Any) -> bool:
    return _is_scalar(value) or (isinstance(value, list | tuple) and all(map(_is_scalar, value)))


def _plain(value: Any) -> FlagValue:
    return list(value) if isinstance(value, tuple) else value


def _numbers(value: Any, count: int, fits: Callable[[Any], bool], kind: type[float] | type[int]) -> list[Any]:
    """Return *count* numbers of one *kind*, the second above the first, or an empty list."""
    if not (isinstance(value, list | tuple) and len(value) == count and all(map(fits, value))):
        return []
    numbers = list(map(kind, value))
    return numbers if numbers[0] < numbers[1] else []


def _read_uniform(value: Any) -> dict[str, Any]:
    numbers = _numbers(value, 2, _real, float)
    if not numbers:
        raise _Mistake(f"uniform needs two numbers, low < high (got {_shown(value)})")
    return {"low": numbers[0], "high": numbers[1]}


def _read_loguniform(value: Any) -> dict[str, Any]:
    numbers = _numbers(value, 2, _real, float)
    if not numbers or numbers[0] <= 0:
        raise _Mistake(f"loguniform needs two numbers above 0, low < high (got {_shown(value)})")
    return {"low": numbers[0], "high": numbers[1]}


def _read_quniform(value: Any) -> dict[str, Any]:
    is_whole = isinstance(value, list | tuple) and all(isinstance(one, int) for one in value)
    numbers = _numbers(value, 3, _real, int if is_whole else float)
    if not numbers or not 0 < exact(numbers[2]) <= exact(numbers[1]) - exact(numbers[0]):
        raise _Mistake(
            f"quniform needs three numbers, low < high and a step above 0 that fits between them (got {_shown(value)})"
        )
    return {"low": numbers[0], "high": numbers[1], "q": numbers[2]}


def _read_randint(value: Any) -> dict[str, Any]:
    numbers = _numbers(value, 2, _whole, int)
    if not numbers:
        raise _Mistake(
            f"randint needs two whole numbers, low < high, of which high itself is never drawn (got {_shown(value)})"
        )
    return {"low": numbers[0], "high": numbers[1]}


def _read_choice(value: Any) -> dict[str, Any]:
    if not isinstance(value, list | tuple) or not value or not all(map(_is_flag_value, value)):
        raise _Mistake(f"choice needs a list of at least one value, such as [32, 64] (got {_shown(value)})")
    options = list(map(_plain, value))
    for at, option in enumerate(options):
        if is_among(option, options[:at]):
            raise _Mistake(f"choice has {_shown(option)} twice; take one out")
    return {"options": tuple(options)}


_READERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "uniform": _read_uniform,
    "loguniform": _read_loguniform,
    "quniform": _read_quniform,
    "randint": _read_randint,
    "choice": _read_choice,
}


def _shown(value: Any) -> str:
    """Return *value* in one short line, however large, deep or odd it is."""
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = 60
    try:
        return shortener.repr(list(value) if isinstance(value, tuple) else value)
    except ValueError:  # an integer of more digits than Python writes
        return type(value).__name__
