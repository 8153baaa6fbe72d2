"""One setting of a plugin: its type, its limits, and what it makes of a value."""

from __future__ import annotations

import json
import reprlib
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from arena_ray.model.errors import SpecError
from arena_ray.model.schedule import Schedule
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import Strict


class SettingType(StrEnum):
    """What values a setting takes."""

    INT = "int"
    FLOAT = "float"
    STRING = "string"
    BOOLEAN = "boolean"
    LIST = "list"
    CHOICE = "choice"
    DICT = "dict"
    SEARCH_SPACE = "search_space"
    SCHEDULE = "schedule"


NUMBERS = frozenset({SettingType.INT, SettingType.FLOAT})
COUNTED = {SettingType.STRING: "character", SettingType.LIST: "item"}
"""Types whose length is limited, and what it counts."""


TUNED: dict[SettingType, type[SearchSpace] | type[Schedule]] = {
    SettingType.SEARCH_SPACE: SearchSpace,
    SettingType.SCHEDULE: Schedule,
}
"""Types whose values are of a class of their own, and name hyperparameters of the script."""


def _read_int(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None


def _read_float(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= sys.float_info.max else None


def _read_plain(value: Any) -> Any:
    """Return a copy that owes nothing to *value*, or None where JSON cannot hold it."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return None


_READERS: dict[SettingType, tuple[str, Callable[[Any], Any]]] = {
    SettingType.INT: ("a whole number", _read_int),
    SettingType.FLOAT: ("a finite number", _read_float),
    SettingType.STRING: ("text", lambda value: value if isinstance(value, str) else None),
    SettingType.BOOLEAN: ("true or false", lambda value: value if isinstance(value, bool) else None),
    SettingType.LIST: (
        "a list of plain values",
        lambda value: _read_plain(value) if isinstance(value, list | tuple) else None,
    ),
    SettingType.DICT: (
        "a mapping of plain values",
        lambda value: _read_plain(dict(value)) if isinstance(value, Mapping) else None,
    ),
}
"""What each type wants to be given, and how a value of it is read; None where it is none."""


def _shown(value: Any) -> str:
    """Return *value* in a few words, however large it is."""
    try:
        return reprlib.repr(value)
    except ValueError:  # a number of more digits than Python writes
        return type(value).__name__


class Setting(Strict):
    """One setting as its plugin declares it."""

    name: str
    type: SettingType
    default: Any = None
    """Plain data; None means that there is none."""
    required: bool = False
    min: int | float | None = None
    """Smallest number, or shortest length of a string or a list."""
    max: int | float | None = None
    options: tuple[bool | int | float | str, ...] = ()
    label: str = ""
    description: str = ""
    live: bool | str = False
    """Whether each hyperparameter of it must be such that it can be set while the script runs.

    Or the name of a boolean setting: then they need not be where that is true.
    """

    def must_be_live(self, settings: Mapping[str, Any]) -> bool:
        """Return whether :attr:`live` holds under these settings."""
        return not settings[self.live] if isinstance(self.live, str) else self.live

    def fit(self, value: Any, *, place: str) -> Any:
        """Return *value* as the plugin is to get it.

        Args:
            value: What was given.
            place: Where it was given; a message begins with it.

        Raises:
            SpecError: It is of another type, or beyond the limits: one line for each mistake.
        """
        if self.type in TUNED:
            kind = TUNED[self.type]
            return value if isinstance(value, kind) else kind.parse(value, prefix=place)
        if self.type is SettingType.CHOICE:
            return self._option(value, place)
        wanted, read = _READERS[self.type]
        fitted = read(value)
        if fitted is None:
            raise SpecError(f"{place}: must be {wanted}, not {_shown(value)}")
        self._require_within(fitted, place)
        return fitted

    def _option(self, value: Any, place: str) -> Any:
        for option in self.options:
            if option == value and isinstance(option, bool) is isinstance(value, bool):
                return option
        raise SpecError(f"{place}: must be one of {self.limits}, not {_shown(value)}")

    def _require_within(self, value: Any, place: str) -> None:
        measure = len(value) if self.type in COUNTED else value
        if (self.min is not None and measure < self.min) or (self.max is not None and measure > self.max):
            verb = "have" if self.type in COUNTED else "be"
            raise SpecError(f"{place}: must {verb} {self.limits}, not {_shown(measure)}")

    @property
    def limits(self) -> str:
        """What values are good, beside the type: ``at least 2``, ``between 0 and 0.5``, ``2 items``; often empty."""
        if self.type is SettingType.CHOICE:
            return ", ".join(map(str, self.options))
        if self.type in TUNED:
            return f"live unless {self.live}" if isinstance(self.live, str) else "live" if self.live else ""
        if self.min is None and self.max is None:
            return ""
        return self._bounds() + self._unit()

    def _bounds(self) -> str:
        if self.max is None:
            return f"at least {self.min}"
        if self.min is None:
            return f"at most {self.max}"
        return f"{self.min}" if self.min == self.max else f"between {self.min} and {self.max}"

    def _unit(self) -> str:
        if self.type not in COUNTED:
            return ""
        last = self.min if self.max is None else self.max
        return f" {COUNTED[self.type]}{'' if last == 1 else 's'}"
