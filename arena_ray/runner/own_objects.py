"""What objects of the script's own keep of what they are made of, as CORL's trainers do: ``trainer.discount``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple

from arena_ray.runner.holders import Holders
from arena_ray.runner.scopes import FunctionNode, Scopes, Variable, last_name, parameters

_UNCERTAIN = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.Match, ast.Try, ast.Lambda)


class Kept(NamedTuple):
    """Where a value is found once the object is made: the variable that holds the object, and its attribute."""

    variable: str
    attribute: str


class OwnObjects:
    """Follows values into constructors, up to the attributes that they become.

    Args:
        scopes: The script.
        holders: What holds the flags.
        home: The function with the main loop; None is the module.
        is_before: Whether a node runs before the main loop.
    """

    def __init__(
        self,
        scopes: Scopes,
        holders: Holders,
        *,
        home: FunctionNode | None,
        is_before: Callable[[ast.AST], bool],
    ) -> None:
        self._scopes = scopes
        self._holders = holders
        self._home = home
        self._is_before = is_before
        self._classes: dict[str, list[ast.ClassDef]] = {}
        self._stored: dict[Variable, int] = {}
        self._set: dict[str, int] = {}
        for node in ast.walk(scopes.tree):
            if isinstance(node, ast.ClassDef):
                self._classes.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                variable = scopes.variable(node)
                self._stored[variable] = self._stored.get(variable, 0) + 1
            elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
                self._set[node.attr] = self._set.get(node.attr, 0) + 1

    def kept(self, node: ast.expr) -> Kept | None:
        """Return where the value of *node* is kept, if that is all that becomes of it before the main loop."""
        uses = list(self._uses(node))
        if len(uses) != 1 or uses[0] is None:
            return None
        call, place = uses[0]
        variable, constructor = self._made(call), self._constructor(call)
        parameter = _parameter(constructor, place) if constructor is not None else None
        if variable is None or constructor is None or parameter is None:
            return None
        attribute = self._attribute(constructor, parameter)
        return None if attribute is None else Kept(variable, attribute)

    def takers(self, node: ast.expr) -> list[ast.Call]:
        """Return the calls that are given *node*, itself or by ``**`` of a dictionary."""
        return [use[0] for use in self._uses(node) if use is not None]

    def _uses(self, node: ast.expr) -> Iterator[tuple[ast.Call, int | str] | None]:
        """Yield each call that is given *node*, and in which place; None for another use of a dictionary with it."""
        around = self._scopes.parent(node)
        if isinstance(around, ast.Call) and node in around.args:
            yield around, around.args.index(node)
        elif isinstance(around, ast.keyword) and around.arg is not None:
            call = self._scopes.parent(around)
            if isinstance(call, ast.Call):
                yield call, around.arg
        elif isinstance(around, ast.Dict) and node in around.values:
            key = around.keys[around.values.index(node)]
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield from ((call, key.value) if call else None for call in self._unpacking(around))

    def _unpacking(self, dictionary: ast.Dict) -> Iterator[ast.Call | None]:
        """Yield the calls that are given the items of *dictionary*; None for another use of the variable with it."""
        statement = self._scopes.parent(dictionary)
        if isinstance(statement, ast.keyword) and statement.arg is None:
            call = self._scopes.parent(statement)
            if isinstance(call, ast.Call):
                yield call
        if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1):
            return
        target = statement.targets[0]
        if not isinstance(target, ast.Name):
            return
        for load in self._scopes.loads(self._scopes.variable(target)):
            around = self._scopes.parent(load)
            call = self._scopes.parent(around) if isinstance(around, ast.keyword) and around.arg is None else None
            yield call if isinstance(call, ast.Call) else None

    def _made(self, call: ast.Call) -> str | None:
        """Return the variable that the main loop finds the object in which *call* makes, if it surely is that one."""
        statement = self._scopes.parent(call)
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or len(targets) != 1:
            return None
        target = targets[0]
        if not isinstance(target, ast.Name) or self._scopes.function_of(target) not in (self._home, None):
            return None
        is_sure = self._stored[self._scopes.variable(target)] == 1 and self._is_certain(call)
        return target.id if is_sure else None

    def _constructor(self, call: ast.Call) -> FunctionNode | None:
        classes = self._classes.get(last_name(call), [])
        if not isinstance(call.func, ast.Name) or len(classes) != 1 or classes[0].decorator_list:
            return None
        methods = [one for one in classes[0].body if isinstance(one, FunctionNode) and one.name == "__init__"]
        is_plain = len(methods) == 1 and not any(isinstance(one, ast.Starred) for one in call.args)
        return methods[0] if is_plain else None

    def _attribute(self, constructor: FunctionNode, parameter: str) -> str | None:
        """Return the attribute that *parameter* becomes, and nothing else, and that nothing else sets or reads soon."""
        variable = Variable(constructor, parameter)
        loads = self._scopes.loads(variable)
        statement = self._scopes.parent(loads[0]) if len(loads) == 1 and variable not in self._stored else None
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and statement.value is loads[0]:
            target: ast.AST = statement.targets[0]
        elif isinstance(statement, ast.AnnAssign) and statement.value is loads[0]:
            target = statement.target
        else:
            return None
        own = parameters(constructor)[0].arg
        if not (isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == own):
            return None
        reads = [one for one in self._scopes.attributes(target.attr) if not self._holders.holds(one.value)]
        is_read = any(map(self._is_before, reads))
        return None if is_read or self._set[target.attr] > 1 or not self._is_certain(statement) else target.attr

    def _is_certain(self, node: ast.AST) -> bool:
        """Whether *node* runs whenever its function does, or the script."""
        for around, _ in self._scopes.chain(node):
            if isinstance(around, FunctionNode):
                return True
            if isinstance(around, _UNCERTAIN) and "__name__" not in ast.unparse(getattr(around, "test", around)):
                return False
        return True


def _parameter(constructor: FunctionNode, place: int | str) -> str | None:
    names = [one.arg for one in parameters(constructor)]
    if isinstance(place, str):
        return place if place in names[1:] else None
    return names[place + 1] if place + 1 < len(names) - len(constructor.args.kwonlyargs) else None
