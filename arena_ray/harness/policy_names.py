"""What is assigned to the names of a script, as its text says: each name in its own scope, arguments too."""

from __future__ import annotations

import ast
import functools
from typing import Any, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Tuple

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Given(NamedTuple):
    """What is assigned to a name: *value*, or where it is unpacked, the *item* of it; -1 where that cannot be told.

    Of an argument whose calls are not all known, *value* is the argument's own node.
    """

    value: Any
    item: Optional[int] = None


class Names:
    """What is assigned to the names of a script, each in its own scope: the module or a function."""

    def __init__(self, tree: ast.Module) -> None:
        self._given: Dict[Tuple[int, str], List[Given]] = {}
        self._scopes: Dict[int, Tuple[int, ...]] = {}  # of each name, innermost first
        functions = _functions(tree)
        self.defined = frozenset(functions)
        """Names of all functions and methods of the script."""
        self.functions = {name: nodes[0] for name, nodes in functions.items() if len(nodes) == 1}
        """Those whose name only one of them has."""
        arguments = _arguments(tree, self.functions)
        pending: List[Tuple[ast.AST, Tuple[int, ...]]] = [(tree, (0,))]
        while pending:
            node, scopes = pending.pop()
            if isinstance(node, ast.Name):
                self._scopes[id(node)] = scopes
            if isinstance(node, _FUNCTIONS):
                scopes = (id(node), *scopes)
                known = arguments.get(id(node), {})
                for argument in ast.walk(node.args):
                    if isinstance(argument, ast.arg):
                        given = known.get(argument.arg, [Given(argument)])
                        self._given.setdefault((id(node), argument.arg), []).extend(given)
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


def imported_by(tree: ast.Module) -> FrozenSet[str]:
    """Return the names that stand for modules or what comes from them."""
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    return frozenset((alias.asname or alias.name).split(".")[0] for node in imports for alias in node.names)


def _functions(tree: ast.Module) -> Dict[str, List[ast.FunctionDef]]:
    found: Dict[str, List[ast.FunctionDef]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, []).append(node)
    return found


def _arguments(tree: ast.Module, functions: Dict[str, ast.FunctionDef]) -> Dict[int, Dict[str, List[Given]]]:
    """Return what is given to the arguments of each function that is only ever called by its name, by its node's id."""
    calls: Dict[str, List[ast.Call]] = {}
    named: Dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            name = node.id if isinstance(node, ast.Name) else node.attr
            named[name] = named.get(name, 0) + 1
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            calls.setdefault(name, []).append(node)
    found: Dict[int, Dict[str, List[Given]]] = {}
    for name, function in functions.items():
        asked = calls.get(name, [])
        if asked and len(asked) == named[name] and not function.decorator_list:  # else others may call it
            found[id(function)] = _given_to_arguments(function, asked)
    return found


def _given_to_arguments(function: ast.FunctionDef, calls: List[ast.Call]) -> Dict[str, List[Given]]:
    arguments = [*getattr(function.args, "posonlyargs", []), *function.args.args]
    if arguments and arguments[0].arg == "self":
        arguments = arguments[1:]
    first = len(arguments) - len(function.args.defaults)
    found: Dict[str, List[Given]] = {argument.arg: [] for argument in arguments}
    for call in calls:
        by_name = {word.arg: word.value for word in call.keywords}
        if None in by_name or any(isinstance(value, ast.Starred) for value in call.args):
            return {}
        for index, argument in enumerate(arguments):
            default = function.args.defaults[index - first] if index >= first else argument
            value = call.args[index] if index < len(call.args) else by_name.get(argument.arg, default)
            found[argument.arg].append(Given(value))
    return found


def _assignments(node: Any) -> Iterator[Tuple[ast.AST, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield target, node.value
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
        yield node.target, node.value
    elif isinstance(node, (ast.For, ast.comprehension)):
        yield node.target, node.iter
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield node.optional_vars, node.context_expr
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
