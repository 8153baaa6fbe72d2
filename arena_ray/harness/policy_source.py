"""What the script's text says of its policy: that observations reach the network as they are, and what it answers."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

_SAME_VALUES = frozenset(
    {"clone", "contiguous", "cpu", "detach", "flatten", "float", "reshape", "to", "unsqueeze", "view"}
)
"""Methods of tensors that give the same numbers."""

_WRAPPED = frozenset({"FloatTensor", "Tensor", "array", "as_tensor", "asarray", "from_numpy", "tensor"})
"""Functions that make a tensor or array of the numbers that they are given."""

_SOURCES = frozenset({"empty", "reset", "sample", "step", "zeros", "zeros_like"})
"""Calls from which observations come, or room for them."""


class Unrecognised(Exception):
    """The policy cannot be described for certain; says why."""


def check(cls: type, key: str, *, attribute: str, kind: str) -> None:
    """Check that ``self.<attribute>`` is given the observation itself, and that its outputs are the policy's.

    Args:
        cls: The class of the module.
        key: The module's name in the script.
        attribute: Its part that gives one number an action.
        kind: ``categorical``: the numbers are logits of a ``Categorical``; ``q_values``: ``forward`` returns them.

    Raises:
        Unrecognised: It is otherwise, or cannot be told.
    """
    objection = _objection(cls, key, attribute, kind)
    if objection:
        raise Unrecognised(objection)


@functools.lru_cache(maxsize=32)  # the text stays as it is, and every snapshot asks
def _objection(cls: type, key: str, attribute: str, kind: str) -> str:
    try:
        _check(cls, key, attribute, kind)
    except Unrecognised as exc:
        return str(exc)
    return ""


def _check(cls: type, key: str, attribute: str, kind: str) -> None:
    path = _file_of(cls)
    text, tree = _parse(path)
    definition = _definition(tree, cls)
    calls = [(method, call) for method in _methods(definition) for call in _calls_of(method, "self." + attribute)]
    if not calls:
        raise Unrecognised(f"no method of {cls.__name__} calls self.{attribute}")
    for method, call in calls:
        _check_argument(text, cls, method, call)
        _check_answer(cls, method, call, kind)
    own = {method.name for method in _methods(definition)}
    for other in _calls_of(tree, key, *(f"{key}.{name}" for name in own)):
        if other.args and _is_changed(tree, other.args[0], set()):
            shown = ast.get_source_segment(text, other)
            raise Unrecognised(f"observations may be changed before {key} gets them: {shown}")


def _file_of(cls: type) -> Path:
    for value in vars(cls).values():
        code = getattr(value, "__code__", None)
        if code is not None:
            return Path(code.co_filename)
    raise Unrecognised(f"{cls.__name__} has no method of its own")


@functools.lru_cache(maxsize=8)
def _parse(path: Path) -> Tuple[str, ast.Module]:
    text = path.read_text(encoding="utf-8")
    return text, ast.parse(text)


def _definition(tree: ast.Module, cls: type) -> ast.ClassDef:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == cls.__name__]
    if len(found) != 1:
        raise Unrecognised(f"the class {cls.__name__} is defined {len(found)} times")
    return found[0]


def _methods(definition: ast.ClassDef) -> List[ast.FunctionDef]:
    return [node for node in definition.body if isinstance(node, ast.FunctionDef)]


def _dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for a name with attributes, and else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def _calls_of(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _dotted(node.func) in names:
            yield node


def _check_argument(text: str, cls: type, method: ast.FunctionDef, call: ast.Call) -> None:
    names = {argument.arg for argument in method.args.args[1:]}
    rebound = {node.id for node in ast.walk(method) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    if len(call.args) == 1 and not call.keywords:
        value = call.args[0]
        if isinstance(value, ast.Call):
            value = _flattened(value) or value
        if isinstance(value, ast.Name) and value.id in names - rebound:
            return
    shown = ast.get_source_segment(text, call)
    raise Unrecognised(f"{cls.__name__}.{method.name} changes the observation before the network gets it: {shown}")


def _flattened(call: ast.Call) -> Optional[ast.expr]:
    """Return ``x`` of ``x.flatten(1)`` and ``torch.flatten(x, 1)``."""
    is_one = bool(call.args) and isinstance(call.args[-1], ast.Constant) and call.args[-1].value == 1
    if not is_one or call.keywords:
        return None
    if _dotted(call.func) == "torch.flatten" and len(call.args) == 2:
        return call.args[0]
    if isinstance(call.func, ast.Attribute) and call.func.attr == "flatten" and len(call.args) == 1:
        return call.func.value
    return None


def _check_answer(cls: type, method: ast.FunctionDef, call: ast.Call, kind: str) -> None:
    names = {
        node.targets[0].id
        for node in ast.walk(method)
        if isinstance(node, ast.Assign) and node.value is call and isinstance(node.targets[0], ast.Name)
    }
    if kind == "q_values":
        returns = [node.value for node in ast.walk(method) if isinstance(node, ast.Return)]
        if method.name == "forward" and returns == [call]:
            return
        raise Unrecognised(f"{cls.__name__}.{method.name} does not return the network's outputs as they are")
    for node in ast.walk(method):
        if isinstance(node, ast.Call) and _dotted(node.func).split(".")[-1] == "Categorical":
            logits = [word.value for word in node.keywords if word.arg == "logits"]
            if logits and (logits[0] is call or (isinstance(logits[0], ast.Name) and logits[0].id in names)):
                return
    raise Unrecognised(f"{cls.__name__}.{method.name} does not use the network's outputs as logits of a Categorical")


def _is_changed(tree: ast.Module, value: ast.expr, seen: Set[str]) -> bool:
    """Return whether *value* may be something else than an observation as the environment gave it."""
    if isinstance(value, ast.Constant):
        return False
    if isinstance(value, ast.Attribute):  # of a batch that was sampled, say; not one that the script itself fills
        return value.attr in _filled_attributes(tree)
    if isinstance(value, ast.Subscript):
        return _is_changed(tree, value.value, seen)
    if isinstance(value, ast.Name):
        if value.id in seen:
            return False
        given = _given_to(tree).get(value.id, [])  # nothing is given to what comes from outside, as an argument
        return not given or any(_is_changed(tree, one, seen | {value.id}) for one in given)
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else _dotted(value.func)
        if name in _SAME_VALUES and isinstance(value.func, ast.Attribute):
            return _is_changed(tree, value.func.value, seen)
        if name in _WRAPPED and value.args:
            return _is_changed(tree, value.args[0], seen)
        return name not in _SOURCES
    return True


@functools.lru_cache(maxsize=8)
def _filled_attributes(tree: ast.Module) -> Set[str]:
    """Return the names of all attributes to which something is assigned, of whatever object."""
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}


@functools.lru_cache(maxsize=8)
def _given_to(tree: ast.Module) -> Dict[str, List[ast.expr]]:
    """Return what is assigned to each name or its items, wherever; what changes it in place counts as such too."""
    given: Dict[str, List[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for name in _names(target):
                    given.setdefault(name, []).append(node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            for name in _names(node.target):
                given.setdefault(name, []).append(node.value)
        elif isinstance(node, (ast.For, ast.comprehension)):
            for name in _names(node.target):
                given.setdefault(name, []).append(node.iter)
        elif isinstance(node, ast.AugAssign):
            for name in _names(node.target):
                given.setdefault(name, []).append(ast.BinOp(ast.Constant(0), node.op, node.value))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_"):
            for name in _names(node.func.value):
                given.setdefault(name, []).append(node)
    return given


def _names(target: Any) -> List[str]:
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, (ast.Subscript, ast.Starred)):
        return _names(target.value)
    if isinstance(target, (ast.Tuple, ast.List)):
        return [name for item in target.elts for name in _names(item)]
    return []
