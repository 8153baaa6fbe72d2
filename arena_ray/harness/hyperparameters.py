"""Set hyperparameters while the script trains: attributes of its arguments, keys of its optimizers' groups."""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, NamedTuple

from .variables import MISSING, Variables

_Values = Mapping[str, Mapping[str, Any]]


class CannotSet(Exception):
    """The script has no such hyperparameter at this boundary."""


class _Change(NamedTuple):
    """One value to be set in *target*, by key or by attribute."""

    target: Any
    name: str
    value: Any
    before: Any

    def make(self) -> None:
        self._write(self.value)

    def undo(self) -> None:
        self._write(self.before)

    def _write(self, value: Any) -> None:
        held = _get(self.target, self.name)
        if hasattr(held, "fill_"):  # a tensor, which a compiled or captured step of an optimizer reads
            held.fill_(value)
        elif isinstance(self.target, dict):
            self.target[self.name] = value
        else:
            try:
                setattr(self.target, self.name, value)
            except AttributeError:
                object.__setattr__(self.target, self.name, value)  # frozen by its class, but not for good


def set_live(attributes: _Values, groups: _Values, variables: Variables) -> None:
    """Set all of it or nothing.

    Args:
        attributes: By the variable that holds them (dots lead into it), attributes or a dictionary's keys.
        groups: By the optimizer's variable, keys of each of its parameter groups.
        variables: The variables at this boundary.

    Raises:
        CannotSet: One of the names does not exist; all that do not are told.
        Exception: Whatever setting one of them raises.
    """
    problems: List[str] = []
    changes = [*_in_holders(attributes, variables, problems), *_in_groups(groups, variables, problems)]
    if problems:
        raise CannotSet("; ".join(problems))
    made: List[_Change] = []
    try:
        for change in changes:
            change.make()
            made.append(change)
    except Exception:
        for change in reversed(made):
            change.undo()
        raise


def _in_holders(attributes: _Values, variables: Variables, problems: List[str]) -> Iterator[_Change]:
    for holder, values in attributes.items():
        target = _named(holder, variables)
        if target is MISSING:
            problems.append(f"the script has no {holder}")
            continue
        for name, value in values.items():
            if _get(target, name) is MISSING:
                problems.append(f"{holder} has no {name}")
            else:
                yield _Change(target, name, value, _value(target, name))


def _in_groups(groups: _Values, variables: Variables, problems: List[str]) -> Iterator[_Change]:
    for optimizer, values in groups.items():
        found = getattr(_named(optimizer, variables), "param_groups", None)
        if not found:
            problems.append(f"the script has no optimizer {optimizer}")
            continue
        for name, value in values.items():
            for number, group in enumerate(found):
                if name not in group:
                    problems.append(f"group {number} of {optimizer} has no {name}")
                else:
                    yield _Change(group, name, value, _value(group, name))


def _get(target: Any, name: str) -> Any:
    return target.get(name, MISSING) if isinstance(target, dict) else getattr(target, name, MISSING)


def _value(target: Any, name: str) -> Any:
    held = _get(target, name)
    return held.item() if hasattr(held, "fill_") else held


def _named(path: str, variables: Variables) -> Any:
    """Return what the script means by *path*, or :data:`MISSING`."""
    name, *pieces = path.split(".")
    names = variables.locals if name in variables.locals else variables.globals
    found = names.get(name, MISSING)
    for piece in pieces:
        found = getattr(found, piece, MISSING)
    return found
