"""Which flags a script's optimizers take, so that they can be set in their parameter groups."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from arena_ray.runner.holders import Holders
from arena_ray.runner.own_objects import OwnObjects
from arena_ray.runner.scopes import FunctionNode, Scopes, Variable, last_name
from arena_ray.runner.value_flow import ValueFlow

_OPTIMIZERS = (
    *("ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Muon", "NAdam", "RAdam"),
    *("RMSprop", "Rprop", "SGD", "SparseAdam"),
)
# those that an optimizer reads anew at each step; others decide what it keeps, or how it computes
_KEYS = {"lr", "eps", "weight_decay", "momentum", "dampening", "alpha", "rho", "lr_decay", "betas"}
_BY_PLACE = {1: "lr"}


class Condition(NamedTuple):
    """One branch of an ``if``; *flag* and *truth* where its test is a flag and nothing else."""

    statement: ast.If
    branch: bool
    flag: str | None
    truth: bool


class _Build(NamedTuple):
    variable: str
    key: str
    line: int
    conditions: tuple[Condition, ...]


class Group(NamedTuple):
    """An optimizer's variable and key that took a flag; it is only built where all *conditions* hold."""

    variable: str
    key: str
    conditions: tuple[tuple[str, bool], ...]


class Obstacle(NamedTuple):
    """Why setting a key of the optimizer would not do, as the end of a sentence that begins with the line."""

    line: int
    why: str


class OptimizerGroups:
    """Collects the optimizers that are built of flags, before the main loop of the function *home*."""

    def __init__(
        self, scopes: Scopes, holders: Holders, flow: ValueFlow, objects: OwnObjects, *, home: FunctionNode | None
    ) -> None:
        self._scopes = scopes
        self._holders = holders
        self._flow = flow
        self._objects = objects
        self._home = home
        self._builds: dict[str, list[_Build]] = defaultdict(list)

    def take(self, flag: ast.Attribute) -> bool:
        """Note that *flag* is read for an optimizer's construction, and return whether that is so."""
        around = self._scopes.parent(flag)
        call = self._scopes.parent(around) if isinstance(around, ast.keyword) else around
        if not (isinstance(call, ast.Call) and last_name(call).endswith(_OPTIMIZERS)):
            return False
        key = around.arg if isinstance(around, ast.keyword) else _key_by_place(call, flag)
        target = self._target(call)
        if key not in _KEYS or key is None or target is None or _has_groups_of_its_own(call):
            return False
        conditions = self._conditions(call)
        if conditions is None:
            return False
        self._builds[flag.attr].append(_Build(target.name, key, flag.lineno, conditions))
        return True

    def groups(
        self, flag: str, *, is_before: Callable[[ast.AST], bool]
    ) -> tuple[tuple[Group, ...], tuple[Obstacle, ...]]:
        """Return the groups that took *flag*, and why setting them would not do, where it would not."""
        by_key: dict[tuple[str, str], list[_Build]] = defaultdict(list)
        for build in self._builds[flag]:
            by_key[build.variable, build.key].append(build)
        groups: list[Group] = []
        obstacles: list[Obstacle] = []
        for (variable, key), builds in by_key.items():
            obstacles += self._handed_over(variable, is_before)
            remaining = _merged({build.conditions for build in builds})
            simple = [one.flag for conditions in remaining for one in conditions]
            if remaining == {()}:
                groups.append(Group(variable, key, ()))
            elif len(remaining) == 1 and None not in simple:
                [conditions] = remaining
                groups.append(Group(variable, key, tuple((one.flag or "", one.truth) for one in conditions)))
            else:
                obstacles.append(Obstacle(builds[0].line, f"builds {variable} of it under a condition"))
        return tuple(groups), tuple(obstacles)

    def _target(self, call: ast.Call) -> Variable | None:
        statement = self._scopes.parent(call)
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
        elif isinstance(statement, ast.AnnAssign):
            target = statement.target
        else:
            return None
        if not isinstance(target, ast.Name) or self._scopes.function_of(target) not in (self._home, None):
            return None
        return self._scopes.variable(target)

    def _conditions(self, call: ast.Call) -> tuple[Condition, ...] | None:
        """Return under which conditions *call* runs, the outermost first; None where a loop decides."""
        found: list[Condition] = []
        for around, part in self._scopes.chain(call):
            if isinstance(around, FunctionNode):
                break
            if isinstance(around, ast.For | ast.While | ast.AsyncFor | ast.Match):
                return None
            if isinstance(around, ast.If) and "__name__" not in ast.unparse(around.test):
                found.insert(0, self._condition(around, branch=part in around.body))
        return tuple(found)

    def _condition(self, statement: ast.If, *, branch: bool) -> Condition:
        test, truth = statement.test, branch
        while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test, truth = test.operand, not truth
        is_flag = isinstance(test, ast.Attribute) and self._holders.holds(test.value)
        return Condition(statement, branch, test.attr if is_flag and isinstance(test, ast.Attribute) else None, truth)

    def _handed_over(self, variable: str, is_before: Callable[[ast.AST], bool]) -> Iterator[Obstacle]:
        """Return where something else, such as a scheduler of the learning rate, got the optimizer before the loop."""
        for scope in {self._home, None}:
            for node in self._scopes.loads(Variable(scope, variable)):
                if not is_before(node) or self._flow.is_logged(node) or self._objects.kept(node):
                    continue
                for taker in self._takers(node):
                    name = last_name(taker) or "a call"
                    yield Obstacle(node.lineno, f"gives {variable}, which is built of it, to {name}")

    def _takers(self, node: ast.expr) -> list[ast.Call]:
        """Return the calls that are given *node*, by itself or within something."""
        around = self._scopes.parent(node)
        while isinstance(around, ast.List | ast.Tuple | ast.Dict | ast.keyword | ast.Starred):
            around = self._scopes.parent(around)
        return [around] if isinstance(around, ast.Call) else self._objects.takers(node)


def _key_by_place(call: ast.Call, value: ast.expr) -> str | None:
    return next((key for place, key in _BY_PLACE.items() if call.args[place : place + 1] == [value]), None)


def _has_groups_of_its_own(call: ast.Call) -> bool:
    """Whether the optimizer has several groups, whose values may differ."""
    return any(isinstance(node, ast.Dict | ast.DictComp) or last_name(node) == "dict" for node in ast.walk(call))


def _merged(ways: set[tuple[Condition, ...]]) -> set[tuple[Condition, ...]]:
    """Return *ways* with both branches of an ``if`` taken together: they are no condition."""
    if () in ways:
        return {()}
    for way in ways:
        outer, last = way[:-1], way[-1]
        others = {one for one in ways if one[:-1] == outer and one[-1].statement is last.statement and one[-1] != last}
        if others:
            return _merged((ways - others - {way}) | {outer})
    return ways
