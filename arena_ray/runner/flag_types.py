"""Whether a value from an experiment file fits the annotation of a script's flag."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from arena_ray.model.spec import FlagValue

_SEQUENCES = {"list", "List", "Sequence", "tuple", "Tuple"}


class Misfit(ValueError):
    """The value is not of the annotated type."""


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _elements(node: ast.expr) -> Sequence[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _alternatives(node: ast.expr) -> list[ast.expr] | None:
    """Return the members of a union, or None if *node* is no union."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [node.left, node.right]
    if isinstance(node, ast.Subscript) and _name(node.value) == "Optional":
        return [node.slice, ast.Constant(None)]
    if isinstance(node, ast.Subscript) and _name(node.value) == "Union":
        return list(_elements(node.slice))
    return None


def _fit_union(value: FlagValue, members: Sequence[ast.expr]) -> FlagValue:
    fits = []
    for member in members:
        try:
            fits.append(_fit(value, member))
        except Misfit:
            continue
    if not fits:
        raise Misfit
    # 3 for `float | int` stays an integer.
    return next((fit for fit in fits if type(fit) is type(value)), fits[0])


def _fit_sequence(value: FlagValue, node: ast.Subscript) -> FlagValue:
    if not isinstance(value, list):
        raise Misfit
    kinds = list(_elements(node.slice))
    is_open = bool(kinds) and isinstance(kinds[-1], ast.Constant) and kinds[-1].value is ...
    if is_open or _name(node.value) not in ("tuple", "Tuple"):
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise Misfit
    fitted = [_fit(item, kind) for item, kind in zip(value, kinds, strict=True)]
    return [one for one in fitted if not isinstance(one, list)]  # none is: the items are scalars


def _fit_plain(value: FlagValue, name: str) -> FlagValue:
    if name == "bool" and isinstance(value, bool):
        return value
    if name == "str" and isinstance(value, str):
        return value
    if name in ("int", "float") and isinstance(value, int | float) and not isinstance(value, bool):
        if name == "float":
            return float(value)
        if isinstance(value, int) or value.is_integer():  # 1e5 is how people write a count of steps
            return int(value)
    raise Misfit


def _fit(value: FlagValue, node: ast.expr) -> FlagValue:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return fit(value, node.value)
    if isinstance(node, ast.Constant) and node.value is None:
        if value is not None:
            raise Misfit
        return None
    members = _alternatives(node)
    if members is not None:
        return _fit_union(value, members)
    if isinstance(node, ast.Subscript):
        outer = _name(node.value)
        if outer == "Literal":
            allowed = [one.value for one in _elements(node.slice) if isinstance(one, ast.Constant)]
            if not any(type(one) is type(value) and one == value for one in allowed):
                raise Misfit
            return value
        if outer in ("Annotated", "Final"):
            return _fit(value, _elements(node.slice)[0])
        if outer in _SEQUENCES:
            return _fit_sequence(value, node)
    if isinstance(node, ast.Name) and node.id in ("bool", "int", "float", "str"):
        return _fit_plain(value, node.id)
    return value  # a type that only the script knows: its own parser has the last word


def fit(value: FlagValue, annotation: str) -> FlagValue:
    """Return *value* as a flag annotated with *annotation* takes it: 1 for a float becomes 1.0, 1e5 for an int 100000.

    Raises:
        Misfit: It is of another type.
    """
    try:
        node = ast.parse(annotation, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return value
    try:
        return _fit(value, node)
    except (OverflowError, RecursionError) as exc:
        raise Misfit from exc
