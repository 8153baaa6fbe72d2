"""What the script's text says: the definition of a function, and whether a value is an observation as it came."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any, Dict, FrozenSet, List, Set, Tuple

from .policy_names import Given, names_of

SAME_VALUES = frozenset(
    {"clone", "contiguous", "copy", "cpu", "detach", "flatten", "float", "numpy", "reshape", "to"}
    | {"unsqueeze", "view"}
)
"""Methods of tensors and arrays that give the same numbers."""

SAME_SHAPE = SAME_VALUES - {"flatten", "reshape", "unsqueeze", "view"}
"""Those that leave each number in its place, too."""

WRAPPED = frozenset({"FloatTensor", "Tensor", "array", "as_tensor", "asarray", "from_numpy", "tensor"})
"""Functions that make a tensor or array of the numbers that they are given."""

_SOURCES = frozenset({"reset", "step"})
"""Methods of environments, also such as are made later, from which observations come."""

ROOM = frozenset({"empty", "empty_like", "ones", "zeros", "zeros_like"})
"""Functions that make room for numbers."""

_TORCH_DECORATORS = "torch/utils/_contextlib.py"  # ``@torch.no_grad()`` puts a function of this file around


class Unrecognised(Exception):
    """The policy cannot be described for certain; says why."""


@functools.lru_cache(maxsize=8)
def parse(path: Path) -> Tuple[str, ast.Module]:
    """Return the text of a file and its syntax tree; the text stays as it is, and every snapshot asks."""
    text = path.read_text(encoding="utf-8")
    return text, ast.parse(text)


def definition(function: Any) -> Tuple[str, Any]:
    """Return the text of the file that defines *function*, and the definition's node: a ``def`` or a lambda.

    Raises:
        Unrecognised: It is no function of Python's, or its text cannot be told for certain.
    """
    function = undecorated(function)
    code = getattr(function, "__code__", None)
    name = getattr(function, "__name__", type(function).__name__)
    if code is None:
        raise Unrecognised(f"{name} is not a function that is written in Python")
    try:
        text, nodes = _definitions(Path(code.co_filename))
    except (OSError, SyntaxError, ValueError) as exc:
        raise Unrecognised(f"the text of {name} cannot be read: {exc}") from exc
    found = nodes.get((code.co_name, code.co_firstlineno), [])
    if len(found) != 1:
        where = f"line {code.co_firstlineno} of {Path(code.co_filename).name}"
        raise Unrecognised(f"{where} defines {name} {len(found)} times")
    return text, found[0]


def undecorated(function: Any) -> Any:
    """Return the function that torch's decorators without an effect on values were put around."""
    while hasattr(function, "__wrapped__") and function.__code__.co_filename.endswith(_TORCH_DECORATORS):
        function = function.__wrapped__
    return function


@functools.lru_cache(maxsize=8)
def _definitions(path: Path) -> Tuple[str, Dict[Tuple[str, int], List[Any]]]:
    text, tree = parse(path)
    found: Dict[Tuple[str, int], List[Any]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            found.setdefault(("<lambda>", node.lineno), []).append(node)
        elif isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found.setdefault((node.name, first), []).append(node)
    return text, found


def segment(text: str, node: Any) -> str:
    """Return the text of *node*, on one line."""
    lines = _lines(text)[node.lineno - 1 : node.end_lineno]
    lines[-1] = lines[-1][: node.end_col_offset]  # first: both offsets may count on one line
    lines[0] = lines[0][node.col_offset :]
    return " ".join(line.decode().strip() for line in lines)


@functools.lru_cache(maxsize=8)
def _lines(text: str) -> List[bytes]:
    return text.encode().split(b"\n")  # columns count bytes


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for a name with attributes, and else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def called(call: ast.Call) -> str:
    """Return the last name of what is called: ``tensor`` of ``torch.tensor(x)``."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func)


def is_changed(
    tree: ast.Module,
    value: Any,
    environments: FrozenSet[str],
    seen: FrozenSet[str] = frozenset(),
    *,
    same: FrozenSet[str] = SAME_VALUES,
) -> bool:
    """Return whether *value* may be something else than an observation as the environment gave it.

    Args:
        tree: The script.
        value: An expression of it.
        environments: Names of the variables that hold the environment.
        seen: Names on the way to it.
        same: Methods that do not count as a change.
    """
    again = functools.partial(is_changed, tree, environments=environments, same=same)
    if isinstance(value, ast.Constant):
        return False
    if isinstance(value, ast.Attribute):
        return value.attr in _filled_attributes(tree) or again(value.value, seen=seen)
    if isinstance(value, ast.Subscript):
        return takes_columns(index_of(value)) or again(value.value, seen=seen)
    if isinstance(value, ast.Name):
        if value.id in seen:
            return False
        given = names_of(tree).given(value)
        return not given or any(again(element(one), seen=seen | {value.id}) for one in given)
    if isinstance(value, ast.Call):
        name = called(value)
        is_asked = dotted(value.func).split(".")[-2:] in [[one, name] for one in environments]
        if name in names_of(tree).defined and not is_asked:  # the script's own, whatever its name says
            return True
        if isinstance(value.func, ast.Attribute) and (name in same or makes_floats(value) or _adds_batch(value)):
            return again(value.func.value, seen=seen)
        if name in WRAPPED and value.args:
            return again(value.args[0], seen=seen)
        return name not in _SOURCES and name not in ROOM
    return True


def _adds_batch(call: ast.Call) -> bool:
    """Return whether *call* makes a batch of one observation."""
    return called(call) == "unsqueeze" and [ast.dump(one) for one in call.args] == [ast.dump(ast.Constant(0))]


def makes_floats(call: ast.Call) -> bool:
    """Return whether *call* is ``astype`` of a type that holds numbers with a fraction."""
    if called(call) != "astype" or len(call.args) != 1:
        return False
    kind = call.args[0]
    name = kind.value if isinstance(kind, ast.Constant) else dotted(kind).split(".")[-1]
    return name in ("float", "float32", "float64")


def element(given: Given) -> Any:
    """Return the expression that is assigned; where it is one of a tuple that is written out, that element."""
    value = given.value
    if given.item is not None and isinstance(value, (ast.Tuple, ast.List)) and 0 <= given.item < len(value.elts):
        return value.elts[given.item]
    return value


def index_of(node: ast.Subscript) -> Any:
    """Return what stands between the brackets; Python 3.8 wraps it."""
    index: Any = node.slice
    return index.value if type(index).__name__ == "Index" else index


def takes_columns(index: Any) -> bool:
    """Return whether an index picks or reorders numbers of an observation, as far as its form tells."""
    if isinstance(index, ast.Slice):
        return index.step is not None
    parts = getattr(index, "elts", None) or getattr(index, "dims", None) or [None]
    is_whole = [isinstance(part, ast.Slice) and not (part.lower or part.upper or part.step) for part in parts]
    return is_whole[0] and not all(is_whole)


@functools.lru_cache(maxsize=8)
def _filled_attributes(tree: ast.Module) -> Set[str]:
    """Return the names of all attributes to which something is assigned, of whatever object."""
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
