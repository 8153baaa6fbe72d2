"""Read what a method computes, without calling it: its text is followed with the live module's own values.

Every statement on the way of an observation to the result has a known meaning, or there is no result. What is beside
that way, as a log-probability, need not be understood.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import operator
import types
from typing import Any, Dict, List, Optional

from .live import torch_if_used
from .policy_layers import (
    after,
    attribute,
    check_hooks,
    described,
    distribution,
    forward_of,
    function_layer,
    is_library,
)
from .policy_source import Unrecognised, definition, index_of, segment, undecorated
from .policy_values import Chain, Distribution, Unknown, Weight, applied, drawn

_DEEPEST = 8
_ARITHMETIC = {"Add": operator.add, "Sub": operator.sub, "Mult": operator.mul, "Div": operator.truediv}
_COMPARED = {"Is": operator.is_, "IsNot": operator.is_not, "Eq": operator.eq, "NotEq": operator.ne}
_NOTHING = object()
"""That a block did not return."""


def trace(function: Any, arguments: List[Any], keywords: Dict[str, Any], names: Dict[int, str]) -> Any:
    """Return what *function* gives for *arguments*.

    Args:
        function: A function or bound method that is written in Python.
        arguments: Values, of which one is a :class:`Chain`.
        keywords: More of them.
        names: The name of each module, parameter and buffer of the policy, by its id.

    Raises:
        Unrecognised: It does something that may change the result and is not understood.
    """
    return _Frame(function, names, 0).run(arguments, keywords)


class _Frame:
    """One function whose text is followed."""

    def __init__(self, function: Any, names: Dict[int, str], depth: int) -> None:
        if depth > _DEEPEST:
            raise Unrecognised("its functions call each other too deeply")
        self._bound = [function.__self__] if isinstance(function, types.MethodType) else []
        self._function = undecorated(getattr(function, "__func__", function))
        self._text, self._node = definition(function)
        self._names = names
        self._depth = depth
        self._values: Dict[str, Any] = {}

    def run(self, arguments: List[Any], keywords: Dict[str, Any]) -> Any:
        """Return what the function returns."""
        try:
            bound = inspect.signature(self._function).bind(*self._bound, *arguments, **keywords)
        except TypeError as exc:
            raise Unrecognised(f"{self._function.__name__} is called otherwise than it is defined: {exc}") from exc
        bound.apply_defaults()
        self._values.update(bound.arguments)
        if isinstance(self._node, ast.Lambda):
            return self._value(self._node.body)
        result = self._block(self._node.body)
        return None if result is _NOTHING else result

    def _shown(self, node: Any) -> str:
        return segment(self._text, node)

    def _refuse(self, node: Any) -> Unrecognised:
        return Unrecognised(f"{self._function.__name__} has a line that is not understood: {self._shown(node)}")

    def _block(self, statements: List[Any]) -> Any:
        for node in statements:
            result = self._statement(node)
            if result is not _NOTHING:
                return result
        return _NOTHING

    def _statement(self, node: Any) -> Any:
        if isinstance(node, ast.Return):
            return None if node.value is None else self._value(node.value)
        if isinstance(node, ast.Assign):
            value = self._value(node.value)
            for target in node.targets:
                self._assign(target, value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign(node.target, self._value(node.value))
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            before = self._values.get(node.target.id)
            if not isinstance(before, (Unknown, int, float)):  # a tensor that may have other names, too
                raise self._refuse(node)
            self._values[node.target.id] = Unknown(self._shown(node))
        elif isinstance(node, ast.With) and all(self._is_without_effect(item) for item in node.items):
            return self._block(node.body)
        elif isinstance(node, ast.If):
            return self._block(node.body if self._is_true(node.test) else node.orelse)
        elif isinstance(node, ast.For):
            return self._loop(node)
        elif isinstance(node, ast.Expr):
            self._value(node.value)
        elif not isinstance(node, (ast.Pass, ast.Assert)):
            raise self._refuse(node)
        return _NOTHING

    def _assign(self, target: Any, value: Any) -> None:
        if isinstance(target, ast.Name):
            self._values[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)) and not any(isinstance(e, ast.Starred) for e in target.elts):
            for index, inner in enumerate(target.elts):
                is_there = isinstance(value, tuple) and len(value) == len(target.elts)
                self._assign(inner, value[index] if is_there else Unknown(self._shown(target)))
        else:  # an item of a tensor, or an attribute that the next call may read
            raise self._refuse(target)

    def _loop(self, node: ast.For) -> Any:
        items = self._value(node.iter)
        torch = torch_if_used()
        if torch is not None and type(items) in (torch.nn.ModuleList, torch.nn.Sequential):
            items = tuple(items._modules.values())
        if not isinstance(items, (tuple, list)) or node.orelse:
            raise self._refuse(node)
        for item in items:
            self._assign(node.target, item)
            result = self._block(node.body)
            if result is not _NOTHING:
                return result
        return _NOTHING

    def _is_without_effect(self, item: ast.withitem) -> bool:
        call, torch = item.context_expr, torch_if_used()
        context = self._value(call.func) if isinstance(call, ast.Call) and not item.optional_vars else None
        return torch is not None and (context is torch.no_grad or context is torch.inference_mode)

    def _is_true(self, test: Any) -> bool:
        value = self._value(test)
        if value is None or isinstance(value, (bool, int, float, str)):
            return bool(value)
        raise self._refuse(test)

    def _value(self, node: Any) -> Any:
        kind = type(node).__name__
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self._variable(node.id)
        if isinstance(node, (ast.Tuple, ast.List)):
            return tuple(self._value(item) for item in node.elts)
        method = getattr(self, "_value_of_" + kind.lower(), None)
        if method is not None:
            return method(node)
        if any(isinstance(inner, (ast.Call, ast.NamedExpr)) for inner in ast.walk(node)):
            raise self._refuse(node)  # what it calls may change an observation in place
        return Unknown(self._shown(node))

    def _variable(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        free = self._function.__code__.co_freevars
        if name in free:
            return self._known(self._function.__closure__[free.index(name)].cell_contents)
        names = self._function.__globals__
        return self._known(names[name]) if name in names else getattr(builtins, name, Unknown(name))

    def _known(self, value: Any) -> Any:
        """Return a live value as it is, a tensor of the policy by its name."""
        torch = torch_if_used()
        if torch is not None and isinstance(value, torch.Tensor):
            name = self._names.get(id(value))
            return Weight(name, value) if name else Unknown("a tensor that is not among the policy's weights")
        is_scalar = type(value).__module__ == "numpy" and getattr(value, "shape", None) == ()
        return value.item() if is_scalar else value

    def _value_of_attribute(self, node: ast.Attribute) -> Any:
        owner = self._value(node.value)
        if isinstance(owner, Distribution):
            return drawn(owner, node.attr)
        if isinstance(owner, Unknown):
            return owner
        if isinstance(owner, (Chain, Weight, tuple)):
            return Unknown(self._shown(node))
        return self._known(attribute(owner, node.attr, Unknown(self._shown(node))))

    def _value_of_subscript(self, node: ast.Subscript) -> Any:
        owner, index = self._value(node.value), self._value(index_of(node))
        if isinstance(owner, tuple) and type(index) is int and -len(owner) <= index < len(owner):
            return owner[index]
        return owner if isinstance(owner, Unknown) else Unknown(self._shown(node))

    def _value_of_slice(self, node: ast.Slice) -> Any:
        return Unknown(self._shown(node))

    def _value_of_unaryop(self, node: ast.UnaryOp) -> Any:
        value, kind = self._value(node.operand), type(node.op).__name__
        if kind == "Not" and (value is None or isinstance(value, (bool, int, float, str))):
            return not value
        if kind == "USub":
            return -value if type(value) in (int, float) else applied("Mult", value, -1, self._shown(node))
        return Unknown(self._shown(node))

    def _value_of_binop(self, node: ast.BinOp) -> Any:
        left, right, kind = self._value(node.left), self._value(node.right), type(node.op).__name__
        if type(left) in (int, float) and type(right) in (int, float) and kind in _ARITHMETIC:
            return _ARITHMETIC[kind](left, right) if kind != "Div" or right else Unknown(self._shown(node))
        return applied(kind, left, right, self._shown(node))

    def _value_of_compare(self, node: ast.Compare) -> Any:
        left, right = self._value(node.left), self._value(node.comparators[0])
        kind = type(node.ops[0]).__name__
        plain = (type(None), bool, int, float, str)
        is_known = isinstance(left, plain) and isinstance(right, plain)
        if kind in ("Is", "IsNot") and (left is None or right is None):
            is_known = not isinstance(left, Unknown) and not isinstance(right, Unknown)
        if len(node.ops) != 1 or kind not in _COMPARED or not is_known:
            return Unknown(self._shown(node))
        return _COMPARED[kind](left, right)

    def _value_of_ifexp(self, node: ast.IfExp) -> Any:
        return self._value(node.body if self._is_true(node.test) else node.orelse)

    def _value_of_call(self, node: ast.Call) -> Any:
        if any(isinstance(argument, ast.Starred) for argument in node.args) or any(not k.arg for k in node.keywords):
            raise self._refuse(node)
        arguments = [self._value(argument) for argument in node.args]
        keywords = {str(keyword.arg): self._value(keyword.value) for keyword in node.keywords}
        if "out" in keywords or "inplace" in keywords:
            raise self._refuse(node)
        if isinstance(node.func, ast.Attribute):
            owner = self._value(node.func.value)
            if isinstance(owner, (Chain, Weight, Unknown, Distribution)):
                return self._method(node, owner, node.func.attr, arguments, keywords)
        return self._call(node, self._value(node.func), arguments, keywords)

    def _method(self, node: ast.Call, owner: Any, name: str, arguments: List[Any], keywords: Dict[str, Any]) -> Any:
        if name.endswith("_"):
            raise self._refuse(node)
        if isinstance(owner, Distribution):
            return Unknown(self._shown(node)) if arguments else drawn(owner, name)
        if isinstance(owner, Chain):
            return after(owner, name, arguments, keywords, self._shown(node))
        return owner if isinstance(owner, Unknown) else Unknown(self._shown(node))

    def _call(self, node: ast.Call, called: Any, arguments: List[Any], keywords: Dict[str, Any]) -> Any:
        shown = self._shown(node)
        torch = torch_if_used()
        if torch is not None:
            if isinstance(called, torch.nn.Module):
                return self._module(torch, called, arguments, keywords, shown)
            kinds = (torch.distributions.Normal, torch.distributions.Categorical, torch.distributions.Independent)
            if any(called is kind for kind in kinds):
                return distribution(called.__name__, arguments, keywords, shown)
        name = function_layer(called) if arguments and isinstance(arguments[0], Chain) else ""
        if name:
            return after(arguments[0], name, arguments[1:], keywords, shown)
        if isinstance(called, (types.FunctionType, types.MethodType)) and not is_library(called):
            return _Frame(called, self._names, self._depth + 1).run(arguments, keywords)
        if isinstance(called, Unknown) or not is_library(called) or getattr(called, "__name__", "_").endswith("_"):
            raise self._refuse(node)
        return _cause(arguments) or Unknown(shown)

    def _module(self, torch: Any, module: Any, arguments: List[Any], keywords: Dict[str, Any], shown: str) -> Any:
        name = self._names.get(id(module))
        if name is None:
            return Unknown(f"{shown} calls a module that is no part of the policy")
        if getattr(module, "inplace", False) and shown:
            raise Unrecognised(f"{name} changes in place what it is given: {shown}")
        if not type(module).__module__.startswith("torch."):
            return _Frame(forward_of(module, name), self._names, self._depth + 1).run(arguments, keywords)
        if len(arguments) != 1 or keywords or not isinstance(arguments[0], Chain):
            return _cause(arguments) or Unknown(shown)
        if type(module) is not torch.nn.Sequential:
            return described(torch.nn, module, arguments[0], name)
        check_hooks(module, name)
        value: Any = arguments[0]
        for index, part in enumerate(module._modules.values()):
            if not isinstance(value, Chain):
                break
            value = self._module(torch, part, [value], {}, "" if index else shown)
        return value


def _cause(arguments: List[Any]) -> Optional[Unknown]:
    """Return the first of *arguments* that is not understood: what is made of it is not because it is not."""
    return next((argument for argument in arguments if isinstance(argument, Unknown)), None)
