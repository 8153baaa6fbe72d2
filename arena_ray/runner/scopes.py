"""A script's syntax tree with what a walk downwards does not show: parents, scopes, and who mentions what."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def last_name(node: ast.AST | None) -> str:
    """Return the last name of what *node* calls or refers to: ``Adam`` of ``torch.optim.Adam(…)``."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def first_name(node: ast.AST) -> str:
    """Return the name that *node* begins with: ``torch`` of ``torch.optim.Adam(…)``."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def parameters(function: FunctionNode) -> list[ast.arg]:
    """Return the parameters of *function* that take a value each, those that can be given by place first."""
    args = function.args
    return [*args.posonlyargs, *args.args, *args.kwonlyargs]


class Variable(NamedTuple):
    """A name in the function that binds it; None is the module."""

    scope: FunctionNode | None
    name: str


class Scopes:
    """What is where in *tree*. Comprehensions, lambdas and class bodies count as part of what is around them."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self._parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self._bound: dict[FunctionNode, set[str]] = {}
        self._variables: dict[ast.Name, Variable] = {}
        self._loads: dict[str, list[ast.Name]] = defaultdict(list)
        self._attributes: dict[str, list[ast.Attribute]] = defaultdict(list)
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self._loads[node.id].append(node)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                self._attributes[node.attr].append(node)

    def parent(self, node: ast.AST) -> ast.AST | None:
        """Return the node that *node* is part of; None of the module."""
        return self._parents.get(node)

    def chain(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
        """Return each node around *node* with the part of it in which *node* lies, the nearest first."""
        while (around := self._parents.get(node)) is not None:
            yield around, node
            node = around

    def function_of(self, node: ast.AST) -> FunctionNode | None:
        """Return the function in whose body *node* lies: its defaults and decorators run where it is defined."""
        for around, part in self.chain(node):
            if isinstance(around, FunctionNode) and part in around.body:
                return around
        return None

    def variable(self, name: ast.Name) -> Variable:
        """Return the variable that *name* refers to."""
        if name not in self._variables:
            function = self.function_of(name)
            while function is not None and name.id not in self._names_bound_in(function):
                function = self.function_of(function)
            self._variables[name] = Variable(function, name.id)
        return self._variables[name]

    def loads(self, variable: Variable) -> list[ast.Name]:
        """Return where *variable* is read."""
        return [node for node in self._loads[variable.name] if self.variable(node) == variable]

    def mentions(self, name: str) -> list[ast.expr]:
        """Return where *name* is read, as a variable or as an attribute of anything."""
        return [*self._loads[name], *self._attributes[name]]

    def attributes(self, name: str) -> list[ast.Attribute]:
        """Return where the attribute *name* of anything is read."""
        return self._attributes[name]

    def _names_bound_in(self, function: FunctionNode) -> set[str]:
        if function not in self._bound:
            outside: set[str] = set()
            bound = {one.arg for one in parameters(function)}
            bound |= {one.arg for one in (function.args.vararg, function.args.kwarg) if one is not None}
            waiting: list[ast.AST] = list(function.body)
            while waiting:
                node = waiting.pop()
                if isinstance(node, ast.Global | ast.Nonlocal):
                    outside |= set(node.names)
                elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                    bound.add(node.id)
                elif isinstance(node, FunctionNode | ast.ClassDef):
                    bound.add(node.name)
                    continue
                # the variables of comprehensions and lambdas are their own
                if not isinstance(node, (*_COMPREHENSIONS, ast.Lambda)):
                    waiting += ast.iter_child_nodes(node)
            self._bound[function] = bound - outside
        return self._bound[function]
