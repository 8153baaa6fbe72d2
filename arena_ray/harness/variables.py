"""The variables that the main loop sees, and paths from them to the objects inside them."""

from __future__ import annotations

import gc
import types
from typing import Any, Dict, List, Optional, Tuple

Path = Tuple[Tuple[str, Any], ...]
"""Steps from a variable to an object: ``global``/``local`` name, then ``attr``, ``item`` or ``part`` of a module."""

MISSING = object()
_STEP_NAMES = ("global_step", "t", "step", "epoch")


class Variables:
    """The variables that the main loop sees: the module's, and the function's where the loop lies in one."""

    def __init__(self, frame: types.FrameType, writable: List[str] | None) -> None:
        self.globals: Dict[str, Any] = frame.f_globals
        self.locals: Dict[str, Any] = {} if writable is None else dict(frame.f_locals)
        self.writable = frozenset(writable or ())

    def scopes(self) -> List[Tuple[str, Dict[str, Any]]]:
        """Return the local and the global variables, without those whose names begin with ``__``."""
        both = (("local", self.locals), ("global", self.globals))
        return [(scope, {k: v for k, v in names.items() if not k.startswith("__")}) for scope, names in both]

    def step(self, default: int) -> int:
        """Return the script's step: the first of its usual names that holds an integer."""
        for names in (self.locals, self.globals):
            step = step_in(names)
            if step is not None:
                return step
        return default

    def step_name(self) -> Optional[str]:
        """Return the name of the variable from which :meth:`step` reads it."""
        for names in (self.locals, self.globals):
            for name in _STEP_NAMES:
                if _integer(names.get(name)) is not None:
                    return name
        return None

    def bind(self, names: Dict[str, Any]) -> Dict[str, Any]:
        """Bind *names* and return those that the loop's own function must bind itself.

        Raises:
            ValueError: One of them is a variable of an enclosing function.
        """
        own = {name: value for name, value in names.items() if name in self.locals}
        enclosing = sorted(own.keys() - self.writable)
        if enclosing:
            raise ValueError(f"{', '.join(enclosing)} belongs to an enclosing function and cannot be set")
        self.locals.update(own)
        self.globals.update({name: value for name, value in names.items() if name not in own})
        return own


def step_in(names: Dict[str, Any]) -> Optional[int]:
    """Return the first integer among the usual names of a step, a numpy one too."""
    for name in _STEP_NAMES:
        step = _integer(names.get(name))
        if step is not None:
            return step
    return None


def _integer(value: Any) -> Optional[int]:
    if type(value) is int:
        return value
    if value is None or isinstance(value, bool) or getattr(value, "shape", ()) != ():
        return None
    try:
        return int(value.__index__())
    except (AttributeError, TypeError):
        return None


def follow(path: Path, variables: Variables) -> Any:
    """Return the object at *path*, or :data:`MISSING`."""
    value: Any = None
    try:
        for kind, name in path:
            if kind in ("local", "global"):
                value = (variables.locals if kind == "local" else variables.globals)[name]
            elif kind == "item":
                value = value[name]
            else:
                for piece in name.split(".") if kind == "part" else [name]:
                    value = getattr(value, piece)
    except (AttributeError, LookupError, TypeError):
        return MISSING
    return value


def path_text(path: Path) -> str:
    """Return *path* as one would write it in Python: ``trainer.critics[0].weight``."""
    (_, text), *steps = path
    for kind, name in steps:
        text += f"[{name!r}]" if kind == "item" else f".{name}"
    return str(text)


def class_name(value: Any) -> str:
    """Return the full name of the class of *value*; of a function, where it is defined."""
    if isinstance(value, types.FunctionType):
        return f"function {value.__qualname__}, line {value.__code__.co_firstlineno}"
    return f"{type(value).__module__}.{type(value).__qualname__}"


def iterated(iterable: Any, iterator: Any) -> List[Any]:
    """Return the iterators behind a loop: a restore advances them, so their state is not put back besides."""
    found, pending = [iterable, iterator], [(iterator, 0)]
    while pending:
        value, depth = pending.pop()
        for inner in gc.get_referents(value) if depth < 3 else ():
            if hasattr(type(inner), "__next__"):
                found.append(inner)
                pending.append((inner, depth + 1))
    return found
