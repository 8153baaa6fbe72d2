"""Where a script keeps its flags: the class that declares them, and what holds the object with their values."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from arena_ray.runner.scopes import FunctionNode, Scopes, Variable, last_name, parameters


def is_tyro_call(node: ast.AST | None) -> bool:
    """Whether *node* is a call of ``tyro.cli`` that is given something."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "tyro.cli" and bool(node.args)


def argument_class(tree: ast.Module) -> ast.ClassDef | None:
    """Return the dataclass that ``tyro.cli`` is given or ``pyrallis.wrap`` makes, or else the one called ``Args``."""
    classes = {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(last_name(one) == "dataclass" for one in node.decorator_list)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and is_tyro_call(node) and last_name(node.args[0]) in classes:
            return classes[last_name(node.args[0])]
        if isinstance(node, FunctionNode) and any(ast.unparse(one) == "pyrallis.wrap()" for one in node.decorator_list):
            taken = [last_name(one.annotation) for one in parameters(node)[:1]]
            if taken and taken[0] in classes:
                return classes[taken[0]]
    return classes.get("Args")


def class_lineage(tree: ast.Module, leaf: ast.ClassDef) -> list[ast.ClassDef]:
    """Return *leaf* and the classes of this file that it inherits from, the farthest first."""
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    line, waiting = [leaf], [leaf]
    while waiting:
        for base in waiting.pop().bases:
            parent = classes.get(last_name(base))
            if parent is not None and parent not in line:
                line.insert(0, parent)
                waiting.append(parent)
    return line


def holder_names(tree: ast.Module, class_name: str) -> set[str]:
    """Return the names of the variables that hold the parsed arguments."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and is_tyro_call(node.value):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and is_tyro_call(node.value) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.arg) and last_name(node.annotation) == class_name:
            names.add(node.arg)
    return names


class Holders:
    """The variables and attributes that hold the one object with the flags, wherever the script passes it on."""

    def __init__(self, scopes: Scopes, owner: ast.ClassDef) -> None:
        self._scopes = scopes
        self._attributes: set[str] = set()
        self._returning: set[str] = set()
        self._handed: set[ast.AST] = set()
        self._functions: dict[str, list[FunctionNode]] = {}
        self.variables: set[Variable] = set()
        for node in ast.walk(scopes.tree):
            for name, function in _callables(node):
                self._functions.setdefault(name, []).append(function)
            if isinstance(node, FunctionNode):
                for one in parameters(node):
                    if last_name(one.annotation) == owner.name:
                        self.variables.add(Variable(node, one.arg))
        for parent in class_lineage(scopes.tree, owner):
            for method in parent.body:
                if isinstance(method, FunctionNode) and parameters(method):
                    self.variables.add(Variable(method, parameters(method)[0].arg))
        self._follow()

    def holds(self, node: ast.AST) -> bool:
        """Whether the value of *node* is the object with the flags."""
        if isinstance(node, ast.Name):
            return self._scopes.variable(node) in self.variables
        if isinstance(node, ast.Call):
            return is_tyro_call(node) or last_name(node) in self._returning
        return isinstance(node, ast.Attribute) and node.attr in self._attributes

    def is_handed_on(self, node: ast.AST) -> bool:
        """Whether *node*, which holds the flags, is given to another holder, and to nothing else."""
        return node in self._handed

    def visible_from(self, function: FunctionNode | None) -> tuple[str, ...]:
        """Return the names under which the code of *function*, or of the module, finds the flags."""
        inner = [one.name for one in self.variables if one.scope is function]
        outer = [one.name for one in self.variables if one.scope is None]
        return tuple(dict.fromkeys([*sorted(inner), *sorted(outer)]))

    def _follow(self) -> None:
        """Find the holders that others are handed on to, until there are no more."""
        known = -1
        while known != (known := len(self.variables) + len(self._attributes) + len(self._returning)):
            for node in ast.walk(self._scopes.tree):
                if isinstance(node, ast.Call):
                    self._call(node)
                elif isinstance(node, ast.Return) and node.value is not None and self.holds(node.value):
                    self._return(node.value)
                elif isinstance(node, ast.Assign) and self.holds(node.value):
                    self._assign(node.targets, node.value)
                elif isinstance(node, ast.AnnAssign) and node.value is not None and self.holds(node.value):
                    self._assign([node.target], node.value)

    def _return(self, value: ast.expr) -> None:
        function = self._scopes.function_of(value)
        if function is not None and len(self._functions.get(function.name, ())) == 1:
            self._returning.add(function.name)
            self._handed.add(value)

    def _assign(self, targets: list[ast.expr], value: ast.expr) -> None:
        for target in targets:
            if isinstance(target, ast.Name):
                self.variables.add(self._scopes.variable(target))
            elif isinstance(target, ast.Attribute):
                self._attributes.add(target.attr)
        if all(isinstance(target, ast.Name | ast.Attribute) for target in targets):
            self._handed.add(value)

    def _call(self, call: ast.Call) -> None:
        is_plain = isinstance(call.func, ast.Name)  # what is called by its name alone is no method, but may be a class
        candidates = [
            one
            for one in self._functions.get(last_name(call), [])
            if one.name == "__init__" or is_plain != isinstance(self._scopes.parent(one), ast.ClassDef)
        ]
        if len(candidates) != 1 or any(isinstance(one, ast.Starred) for one in call.args):
            return
        taken = parameters(candidates[0])
        is_method = isinstance(self._scopes.parent(candidates[0]), ast.ClassDef)
        is_static = any(last_name(one) == "staticmethod" for one in candidates[0].decorator_list)
        by_place = dict(enumerate(taken[1:] if is_method and not is_static else taken))
        by_name = {one.arg: one for one in taken}
        given = [(by_place.get(at), value) for at, value in enumerate(call.args)]
        given += [(by_name.get(one.arg), one.value) for one in call.keywords if one.arg is not None]
        for parameter, value in given:
            if parameter is not None and self.holds(value):
                self.variables.add(Variable(candidates[0], parameter.arg))
                self._handed.add(value)


def _callables(node: ast.AST) -> Iterator[tuple[str, FunctionNode]]:
    """Return what can be called by which name: functions by theirs, ``__init__`` by its class's."""
    if isinstance(node, FunctionNode) and node.name != "__init__":
        yield node.name, node
    elif isinstance(node, ast.ClassDef):
        yield from ((node.name, one) for one in node.body if isinstance(one, FunctionNode) and one.name == "__init__")
