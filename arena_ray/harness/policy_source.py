"""What the script's text says: the definition of a function, and whether a value is an observation as it came."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

SAME_VALUES = frozenset(
    {"clone", "contiguous", "copy", "cpu", "detach", "flatten", "float", "numpy", "reshape", "to"}
    | {"unsqueeze", "view"}
)
"""Methods of tensors and arrays that give the same numbers."""

WRAPPED = frozenset({"FloatTensor", "Tensor", "array", "as_tensor", "asarray", "from_numpy", "tensor"})
"""Functions that make a tensor or array of the numbers that they are given."""

_SOURCES = frozenset({"empty", "reset", "sample", "step", "zeros", "zeros_like"})
"""Calls from which observations come, or room for them."""

_TORCH_DECORATORS = "torch/utils/_contextlib.py"  # ``@torch.no_grad()`` puts a function of this file around


class Unrecognised(Exception):
    """The policy cannot be described for certain; says why."""


class Given(NamedTuple):
    """What is assigned to a name: *value*, or where it is unpacked, the *item* of it; -1 where that cannot be told."""

    value: ast.expr
    item: Optional[int] = None


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


def is_changed(tree: ast.Module, value: ast.expr, seen: Optional[Set[str]] = None) -> bool:
    """Return whether *value* may be something else than an observation as the environment gave it."""
    seen = seen or set()
    if isinstance(value, ast.Constant):
        return False
    if isinstance(value, ast.Attribute):  # of a batch that was sampled, say; not one that the script itself fills
        return value.attr in _filled_attributes(tree)
    if isinstance(value, ast.Subscript):
        return takes_columns(index_of(value)) or is_changed(tree, value.value, seen)
    if isinstance(value, ast.Name):
        if value.id in seen:
            return False
        given = names_of(tree).given(value)  # nothing is given to what comes from outside, as an argument
        return not given or any(is_changed(tree, element(one), seen | {value.id}) for one in given)
    if isinstance(value, ast.Call):
        name = called(value)
        if isinstance(value.func, ast.Attribute) and (name in SAME_VALUES or makes_floats(value)):
            return is_changed(tree, value.func.value, seen)
        if name in WRAPPED and value.args:
            return is_changed(tree, value.args[0], seen)
        return name not in _SOURCES
    return True


def makes_floats(call: ast.Call) -> bool:
    """Return whether *call* is ``astype`` of a type that holds numbers with a fraction."""
    if called(call) != "astype" or len(call.args) != 1:
        return False
    kind = call.args[0]
    name = kind.value if isinstance(kind, ast.Constant) else dotted(kind).split(".")[-1]
    return name in ("float", "float32", "float64")


def element(given: Given) -> ast.expr:
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


class Names:
    """What is assigned to the names of a script, each in its own scope: the module or a function."""

    def __init__(self, tree: ast.Module) -> None:
        self._given: Dict[Tuple[int, str], List[Given]] = {}
        self._scopes: Dict[int, Tuple[int, ...]] = {}  # of each name, innermost first
        pending: List[Tuple[ast.AST, Tuple[int, ...]]] = [(tree, (0,))]
        while pending:
            node, scopes = pending.pop()
            if isinstance(node, ast.Name):
                self._scopes[id(node)] = scopes
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                scopes = (id(node), *scopes)
                for argument in ast.walk(node.args):
                    if isinstance(argument, ast.arg):  # what is given to it comes from outside
                        self._given.setdefault((id(node), argument.arg), [])
            for target, value in _assignments(node):
                for name, item in _names(target):
                    self._given.setdefault((scopes[0], name), []).append(Given(value, item))
            pending.extend((child, scopes) for child in ast.iter_child_nodes(node))
        shared = [n for n in ast.walk(tree) if isinstance(n, (ast.Global, ast.Nonlocal))]
        self._shared: Dict[str, List[Given]] = {name: [] for node in shared for name in node.names}
        for (_, name), given in self._given.items():
            self._shared.get(name, []).extend(given)

    def given(self, node: ast.Name) -> List[Given]:
        """Return what is assigned to *node* or its items; what changes it in place counts as such too."""
        if node.id in self._shared:
            return self._shared[node.id]
        for scope in self._scopes.get(id(node), (0,)):
            if (scope, node.id) in self._given:
                return self._given[scope, node.id]
        return []


@functools.lru_cache(maxsize=8)
def names_of(tree: ast.Module) -> Names:
    """Return the names of a script."""
    return Names(tree)


def _assignments(node: Any) -> Iterator[Tuple[ast.AST, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield target, node.value
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
        yield node.target, node.value
    elif isinstance(node, (ast.For, ast.comprehension)):
        yield node.target, node.iter
    elif isinstance(node, ast.AugAssign):
        room = ast.copy_location(ast.Constant(0), node)
        yield node.target, ast.copy_location(ast.BinOp(room, node.op, node.value), node)
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_"):
            yield node.func.value, node
        for keyword in node.keywords:
            if keyword.arg == "out":
                yield keyword.value, node


def _names(target: Any, item: Optional[int] = None) -> List[Tuple[str, Optional[int]]]:
    if isinstance(target, ast.Name):
        return [(target.id, item)]
    if isinstance(target, ast.Subscript):
        return _names(target.value, item)
    if isinstance(target, ast.Starred):
        return _names(target.value, -1)
    if not isinstance(target, (ast.Tuple, ast.List)):
        return []
    is_plain = item is None and not any(isinstance(inner, ast.Starred) for inner in target.elts)
    return [pair for index, inner in enumerate(target.elts) for pair in _names(inner, index if is_plain else -1)]
