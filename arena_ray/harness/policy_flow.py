"""Follow an action in the script's text back from ``envs.step`` to the call of the module that it comes from."""

from __future__ import annotations

import ast
import functools
from typing import Any, FrozenSet, List, NamedTuple, Optional, Set, Tuple

from .policy_names import Given, imported_by, names_of
from .policy_source import (
    ROOM,
    SAME_VALUES,
    WRAPPED,
    Unrecognised,
    called,
    dotted,
    element,
    index_of,
    is_changed,
    makes_floats,
    segment,
    takes_columns,
)

_SAME_ACTIONS = SAME_VALUES | {"item", "squeeze", "tolist"}
_WHOLE = frozenset({"astype", "int", "long"})
_CHANGES = _SAME_ACTIONS | _WHOLE | WRAPPED | {"argmax", "clamp", "clip", "float", "max", "rsample", "sample", "where"}
_NOISE = frozenset(
    {"choice", "normal", "rand", "randint", "randn", "randn_like", "random", "standard_normal", "uniform"}
)

Change = Tuple[str, Any]
"""What happens to what the module answered: ``item`` i, ``sample``, ``attribute`` name, ``argmax`` and ``max`` with
their dimension, ``clip`` with its bounds, ``whole`` where a fraction is lost, ``call`` of a module that is given it."""


class Acting(NamedTuple):
    """A call of a module from which actions come, and what happens to its answer until they are taken."""

    called: str
    call: ast.Call
    changes: Tuple[Change, ...]


@functools.lru_cache(maxsize=8)  # the text stays as it is, and every snapshot asks
def find(text: str, tree: ast.Module, callables: FrozenSet[str], environments: FrozenSet[str]) -> Tuple[Acting, ...]:
    """Return the calls from which the actions come that the script takes; random actions come from none.

    Args:
        text: The script's text.
        tree: Its syntax tree.
        callables: What a call of a module may look like: ``agent``, ``agent.get_action``.
        environments: Names of variables that hold the environment.

    Raises:
        Unrecognised: An action may be another one than the module's, or that cannot be told.
    """
    search = _Search(text, tree, callables, environments)
    for step in steps(tree, environments):
        search.follow(step.args[0], ())
    if not search.found:
        raise Unrecognised("no action that the script takes comes from a torch module of its own")
    return tuple(search.found)


@functools.lru_cache(maxsize=8)
def steps(tree: ast.Module, environments: FrozenSet[str]) -> Tuple[ast.Call, ...]:
    """Return the calls that step one of the *environments* with an action."""
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_step(node, environments))


def _is_step(node: ast.Call, environments: FrozenSet[str]) -> bool:
    if not isinstance(node.func, ast.Attribute) or node.func.attr != "step" or len(node.args) != 1:
        return False
    return dotted(node.func.value).split(".")[-1] in environments


class _Search:
    def __init__(self, text: str, tree: ast.Module, callables: FrozenSet[str], environments: FrozenSet[str]) -> None:
        self.found: List[Acting] = []
        self._text = text
        self._tree = tree
        self._names = names_of(tree)
        self._functions = self._names.functions
        self._imported = imported_by(tree)
        self._callables = callables
        self._environments = environments
        self._path: List[int] = []
        self._seen: Set[Tuple[int, Tuple[Change, ...]]] = set()

    def follow(self, node: Any, changes: Tuple[Change, ...]) -> None:
        """Note all calls of modules from which *node* comes."""
        if isinstance(node, ast.Name):
            self._follow_name(node, changes)
        elif isinstance(node, ast.Call):
            self._follow_call(node, changes)
        elif isinstance(node, ast.Subscript):
            index = index_of(node)
            if takes_columns(index):
                raise self._refused(node)
            item = index.value if isinstance(index, ast.Constant) and type(index.value) is int else None
            self.follow(node.value, (("item", item), *changes))
        elif isinstance(node, ast.Attribute):
            self.follow(node.value, (("attribute", node.attr), *changes))
        elif isinstance(node, ast.IfExp):
            self.follow(node.body, changes)
            self.follow(node.orelse, changes)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and self._is_noise(node.right):
            self.follow(node.left, changes)
        elif isinstance(node, (ast.List, ast.Tuple)) and len(node.elts) == 1:
            self.follow(node.elts[0], changes)
        elif isinstance(node, (ast.ListComp, ast.GeneratorExp)):
            self.follow(node.elt, changes)
        elif not isinstance(node, ast.Constant):
            raise self._refused(node)

    def _follow_name(self, node: ast.Name, changes: Tuple[Change, ...]) -> None:
        given = self._names.given(node)
        if not given:
            raise self._refused(node)
        for one in given:
            if (id(one), changes) in self._seen or id(one) in self._path:  # x = f(x): f once
                continue
            self._seen.add((id(one), changes))
            self._path.append(id(one))
            value = element(one)
            is_unpacked = one.item is not None and value is one.value
            self.follow(value, (("item", self._item(one, node)), *changes) if is_unpacked else changes)
            self._path.pop()

    def _item(self, given: Given, node: ast.Name) -> Optional[int]:
        if given.item is not None and given.item < 0:
            raise self._refused(node)
        return given.item

    def _follow_call(self, node: ast.Call, changes: Tuple[Change, ...]) -> None:
        whole, name = dotted(node.func), called(node)
        if whole in self._callables:
            self._follow_module(whole, node, changes)
        elif self._is_noise(node) or name in ROOM:
            return
        elif name in self._functions and name not in _CHANGES and whole.split(".")[0] not in self._imported:
            self._follow_function(self._functions[name], changes)
        elif name == "where" and len(node.args) == 3:
            for branch in node.args[1:]:
                if isinstance(branch, ast.Constant) or (isinstance(branch, ast.Call) and called(branch) in ROOM):
                    raise self._refused(node)
                self.follow(branch, changes)
        else:
            self._follow_change(node, name, changes)

    def _follow_module(self, whole: str, node: ast.Call, changes: Tuple[Change, ...]) -> None:
        """Note a call of a module with an observation; one with what another call has answered changes that."""
        if node.args and not is_changed(self._tree, node.args[0], self._environments):
            self.found.append(Acting(whole, node, changes))
            return
        before = len(self.found)
        try:
            self.follow(node.args[0] if node.args else node.func, (("call", (whole, node)), *changes))
        except Unrecognised:
            del self.found[before:]
        if len(self.found) == before:
            raise Unrecognised(f"observations may be changed before {whole} gets them: {segment(self._text, node)}")

    def _follow_change(self, node: ast.Call, name: str, changes: Tuple[Change, ...]) -> None:
        receiver, arguments = _receiver(node)
        if receiver is None:
            raise self._refused(node)
        if name in WRAPPED or name in _SAME_ACTIONS or name == "float" or makes_floats(node):
            self.follow(receiver, changes)
        elif name in _WHOLE:
            self.follow(receiver, (("whole", None), *changes))
        elif name in ("sample", "rsample") and not arguments and not node.keywords:
            self.follow(receiver, (("sample", None), *changes))
        elif name in ("argmax", "max"):
            words = [word.value for word in node.keywords if word.arg in ("dim", "axis")]
            dimension = ([*arguments, *words] or [ast.Constant(None)])[0]
            self.follow(receiver, ((name, self._constant(dimension)), *changes))
        elif name in ("clip", "clamp") and len(arguments) == 2:
            self.follow(receiver, (("clip", self._bounds(arguments)), *changes))
        else:
            raise self._refused(node)

    def _follow_function(self, function: ast.FunctionDef, changes: Tuple[Change, ...]) -> None:
        returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
        if not returned or None in returned or id(function) in self._path:
            raise Unrecognised(f"{function.name} may give no action, or itself")
        self._path.append(id(function))
        for value in returned:
            self.follow(value, changes)
        self._path.pop()

    def _bounds(self, arguments: List[Any]) -> Any:
        """Return the bounds of a clip: None where they are those of the action space."""
        bare = [one.value if isinstance(one, ast.Subscript) else self._resolved(one) for one in arguments]
        names = [one.attr for one in bare if isinstance(one, ast.Attribute) and "space" in dotted(one)]
        if names == ["low", "high"]:
            return None
        return tuple(self._constant(one) for one in arguments)

    def _resolved(self, node: Any) -> Any:
        """Return what a name stands for, where only one thing is ever assigned to it."""
        given = self._names.given(node) if isinstance(node, ast.Name) else []
        return element(given[0]) if len(given) == 1 else node

    def _constant(self, node: Any) -> Any:
        try:
            return ast.literal_eval(node)
        except ValueError as exc:
            raise self._refused(node) from exc

    def _is_noise(self, node: Any, names: FrozenSet[str] = frozenset()) -> bool:
        """Return whether *node* is random and of no module's making, so that a policy that acts leaves it away.

        Args:
            node: An expression.
            names: Those on the way to it: what is made of itself is noise if it began as such.
        """
        if isinstance(node, ast.Name):
            given = [] if node.id in names else [element(one) for one in self._names.given(node)]
            return bool(given) and all(self._is_noise(one, names | {node.id}) for one in given)
        if isinstance(node, ast.BinOp):
            sides = [side for side in (node.left, node.right) if not isinstance(side, ast.Constant)]
            is_scaled = isinstance(node.op, (ast.Mult, ast.Div)) and not self._asks_module(node)
            return bool(sides) and (any if is_scaled else all)(self._is_noise(side, names) for side in sides)
        if isinstance(node, ast.UnaryOp):
            return self._is_noise(node.operand, names)
        if not isinstance(node, ast.Call) or self._asks_module(node):
            return False
        name = called(node)
        if name == "sample":
            return isinstance(node.func, ast.Attribute) and dotted(node.func.value).endswith("space")
        if name in _SAME_ACTIONS or name in WRAPPED or name in _WHOLE or name in ("clip", "clamp"):
            receiver, _ = _receiver(node)
            return receiver is not None and self._is_noise(receiver, names)
        return name in _NOISE

    def _asks_module(self, node: Any) -> bool:
        calls = (inner for inner in ast.walk(node) if isinstance(inner, ast.Call))
        return any(dotted(call.func) in self._callables for call in calls)

    def _refused(self, node: Any) -> Unrecognised:
        shown = segment(self._text, node)
        return Unrecognised(f"the script may take another action than its module gives: {shown}")


def _receiver(node: ast.Call) -> Tuple[Any, List[Any]]:
    """Return what a method is called on, or the first argument of a function of a library; and the other arguments."""
    name = node.func
    is_function = isinstance(name, ast.Name) or dotted(name).split(".")[0] in ("np", "numpy", "torch")
    if not is_function and isinstance(name, ast.Attribute):
        return name.value, list(node.args)
    return (node.args[0], list(node.args[1:])) if node.args else (None, [])
