"""Where a value goes: only into checks, into the log, or further."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from arena_ray.runner.scopes import FunctionNode, Scopes, Variable, first_name, last_name, parameters

_EXITS = {"SystemExit", "exit", "quit", "_exit", "error"}
_PRINTING = {"print", "pprint", "rprint"}
_LOGGING = {"debug", "info", "warning", "error", "critical", "exception", "log"}
_DUMPING = {"json", "pyrallis", "yaml"}
_WRITERS = {"add_text", "add_hparams", "SummaryWriter"}
_NAMES_OF_RUNS = {"run_name", "exp_name", "experiment_name", "log_dir", "logdir"}
_PURE = {
    *("abs", "all", "any", "bool", "dict", "float", "format", "getattr", "int", "isclose", "isfinite", "isinstance"),
    *("isnan", "len", "list", "max", "min", "range", "repr", "round", "set", "sorted", "str", "sum", "tuple", "type"),
    *("vars", "asdict", "pformat", "dumps", "join", "items", "keys", "values", "lower", "upper", "replace", "strip"),
    *("startswith", "endswith", "exists", "isdir", "isfile", "enumerate", "zip"),
}
_CARRYING = (
    ast.Attribute,
    ast.BinOp,
    ast.Compare,
    ast.Dict,
    ast.FormattedValue,
    ast.JoinedStr,
    ast.List,
    ast.Set,
    ast.Slice,
    ast.Starred,
    ast.Subscript,
    ast.Tuple,
    ast.UnaryOp,
    ast.keyword,
)
# what they are part of happens or does not happen, or so many times
_DECIDING = (ast.BoolOp, ast.IfExp, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class ValueFlow:
    """Follows a value upwards through its expression, and on through the variables that it is stored in."""

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self._functions = [one for one in scopes.tree.body if isinstance(one, FunctionNode) and not one.decorator_list]
        self._is_config_read = any(
            getattr(scopes.parent(node), "attr", "") != "update" for node in scopes.attributes("config")
        )

    def ends_harmlessly(self, node: ast.AST) -> bool:
        """Whether the value of *node* goes nowhere but into checks, which end the script or let it go on, and logs."""
        return self._is_harmless(node, frozenset())

    def is_logged(self, node: ast.AST) -> bool:
        """Whether *node* is part of what a call writes to the log."""
        around = self._scopes.parent(node)
        while isinstance(around, ast.expr | ast.keyword | ast.comprehension):
            if isinstance(around, ast.Call) and self._is_logging(around):
                return True
            around = self._scopes.parent(around)
        return False

    def _is_harmless(self, node: ast.AST, seen: frozenset[Variable]) -> bool:
        around = self._scopes.parent(node)
        while around is not None:
            if isinstance(around, ast.Call):
                is_told = self._is_logging(around) or isinstance(self._scopes.parent(around), ast.Raise)
                if around.func is not node and is_told:
                    return True
                if last_name(around) not in _PURE:
                    return self._is_taken_harmlessly(around, node, seen)
            elif isinstance(around, ast.comprehension):
                node, around = around, self._scopes.parent(around)
                continue
            elif isinstance(around, _DECIDING):
                if not self._is_pure(around):
                    return False
            elif not isinstance(around, _CARRYING):
                return self._ends_in(around, node, seen)
            node, around = around, self._scopes.parent(around)
        return False

    def _is_taken_harmlessly(self, call: ast.Call, node: ast.AST, seen: frozenset[Variable]) -> bool:
        """Whether *call* is of a function of the script's that does nothing with *node* but check and log it."""
        found = [one for one in self._functions if isinstance(call.func, ast.Name) and one.name == call.func.id]
        if len(found) != 1 or node not in call.args or any(isinstance(one, ast.Starred) for one in call.args):
            return False
        taken, place = parameters(found[0]), call.args.index(node)
        if place >= len(taken):
            return False
        variable = Variable(found[0], taken[place].arg)
        return variable in seen or all(
            self._is_harmless(one, seen | {variable}) for one in self._scopes.loads(variable)
        )

    def _ends_in(self, statement: ast.AST, part: ast.AST, seen: frozenset[Variable]) -> bool:
        match statement:
            case ast.Assert() | ast.Raise() | ast.Expr():
                return True
            case ast.If(test=test) if test is part:
                return self._only_exits(statement.body)
            case ast.For(iter=iterated) if iterated is part:
                return self._only_logs([*statement.body, *statement.orelse])
            case ast.Assign(value=value) if value is part:
                return all(self._is_stored_harmlessly(target, value, seen) for target in statement.targets)
            case ast.AnnAssign(value=value) if value is part:
                return self._is_stored_harmlessly(statement.target, part, seen)
            case _:
                return False

    def _is_stored_harmlessly(self, target: ast.expr, value: ast.AST, seen: frozenset[Variable]) -> bool:
        if isinstance(target, ast.Tuple | ast.List):
            return all(self._is_stored_harmlessly(one, value, seen) for one in target.elts)
        if not isinstance(target, ast.Name):
            return False
        if isinstance(value, ast.JoinedStr) and target.id in _NAMES_OF_RUNS:
            return True  # it names files
        variable = self._scopes.variable(target)
        if variable in seen:
            return True
        return all(self._is_harmless(one, seen | {variable}) for one in self._scopes.loads(variable))

    def _is_logging(self, call: ast.Call) -> bool:
        name, root = last_name(call), first_name(call.func)
        if isinstance(call.func, ast.Name):
            return name in _PRINTING or name in _WRITERS or name in _EXITS
        if root == "wandb":
            return not self._is_config_read  # else the script may read its flags back from there
        if name == "dump" and root in _DUMPING:
            return True
        is_exit = name in _EXITS and root in ("sys", "os", "parser")
        return is_exit or name in _WRITERS or (name in _LOGGING and "log" in root.lower()) or name in _PRINTING

    def _is_pure(self, node: ast.AST) -> bool:
        return all(last_name(one) in _PURE for one in ast.walk(node) if isinstance(one, ast.Call))

    def _only_exits(self, body: Iterable[ast.stmt]) -> bool:
        *before, last = body
        is_exit = isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and last_name(last.value) in _EXITS
        return (is_exit or isinstance(last, ast.Raise)) and self._only_logs(before)

    def _only_logs(self, body: Iterable[ast.stmt]) -> bool:
        return all(
            isinstance(one, ast.Expr) and isinstance(one.value, ast.Call) and self._is_logging(one.value)
            for one in body
        )
