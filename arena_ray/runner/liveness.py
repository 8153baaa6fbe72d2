"""Which flags can be changed while a script trains: read from its syntax tree, and in doubt not.

A flag is *live* if a new value of it, set at a boundary, has its full effect from then on. Within the main loop a read
of it finds the new value; after the loop nothing depends on it; before the loop a read fixes it, unless the value goes
into checks and the log only, into an optimizer, whose parameter groups can be set, or into an attribute of an object of
the script's own, which can be set too. What stands in a function belongs where the function is mentioned.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto

from arena_ray.runner.holders import Holders, argument_class
from arena_ray.runner.optimizer_groups import OptimizerGroups
from arena_ray.runner.own_objects import Kept, OwnObjects
from arena_ray.runner.protocol import MainLoop, ScriptArgument
from arena_ray.runner.scopes import FunctionNode, Scopes, last_name
from arena_ray.runner.value_flow import ValueFlow

_TRANSPARENT = {"classmethod", "enable_grad", "inference_mode", "no_grad", "property", "staticmethod"}
_CALLED_BY_OTHERS = ("Wrapper", "Env", "Dataset", "Callback", "Thread", "Process")


@dataclass(frozen=True)
class Liveness:
    """The flags of a script, with what is known of changing them, and the variables that hold them."""

    arguments: tuple[ScriptArgument, ...]
    holders: tuple[str, ...]


class _Stage(Enum):
    BEFORE = auto()
    INSIDE = auto()
    AFTER = auto()


def find_liveness(tree: ast.Module, loop: MainLoop, arguments: tuple[ScriptArgument, ...]) -> Liveness:
    """Return *arguments*, completed by whether each can be changed at the boundaries of *loop*."""
    owner = argument_class(tree)
    node = _loop_node(tree, loop)
    if owner is None or node is None:
        return Liveness(arguments, ())
    return _Analysis(tree, node, owner, arguments).result()


def _loop_node(tree: ast.Module, loop: MainLoop) -> ast.For | ast.AsyncFor | ast.While | None:
    loops = (node for node in ast.walk(tree) if isinstance(node, ast.For | ast.AsyncFor | ast.While))
    return next((node for node in loops if (node.lineno, node.end_lineno) == (loop.line, loop.end_line)), None)


class _Stages:
    """Says when a part of the script runs: before, in or after the main loop."""

    def __init__(self, scopes: Scopes, loop: ast.For | ast.AsyncFor | ast.While) -> None:
        self._scopes = scopes
        self._loop = loop
        self._first: dict[FunctionNode, _Stage] = {}
        self.home = scopes.function_of(loop)

    def of(self, node: ast.AST) -> _Stage:
        """Return when *node* runs for the first time."""
        place = self._place(node)
        return place if isinstance(place, _Stage) else self._of_function(place)

    def _place(self, node: ast.AST) -> _Stage | FunctionNode:
        """Return when *node* runs, or the function that has to be called for it to run."""
        for around, part in self._scopes.chain(node):
            if around is self._loop:
                if part in self._loop.orelse:
                    return _Stage.AFTER
                is_each_time = part in self._loop.body or isinstance(self._loop, ast.While)
                return _Stage.INSIDE if is_each_time else _Stage.BEFORE
        function = self._scopes.function_of(node)
        if function is self.home:
            return _Stage.BEFORE if getattr(node, "lineno", 0) <= self._loop.lineno else _Stage.AFTER
        if function is None:
            return _Stage.AFTER if self._follows_home(node) else _Stage.BEFORE
        return function

    def _of_function(self, function: FunctionNode) -> _Stage:
        """Return when *function* may first be called: where it is mentioned, or what mentions it, and so on."""
        if function not in self._first:
            reached, waiting, stages = {function}, [function], set[_Stage]()
            while waiting and _Stage.BEFORE not in stages:
                caller = waiting.pop()
                mentions = self._mentions(caller)
                if self._may_be_called_unseen(caller) or not mentions:
                    stages.add(_Stage.BEFORE)
                for place in map(self._place, mentions):
                    if isinstance(place, _Stage):
                        stages.add(place)
                    elif place not in reached:
                        reached.add(place)
                        waiting.append(place)
            self._first[function] = next((one for one in _Stage if one in stages), _Stage.BEFORE)
        return self._first[function]

    def _mentions(self, function: FunctionNode) -> list[ast.expr]:
        """Return where *function* is mentioned: a method, outside of its class, only as an attribute of something."""
        owner = self._scopes.parent(function)
        mentions = self._scopes.mentions(function.name)
        if not isinstance(owner, ast.ClassDef):
            return mentions
        inside = set(ast.walk(owner))
        return [one for one in mentions if isinstance(one, ast.Attribute) or one in inside]

    def _may_be_called_unseen(self, function: FunctionNode) -> bool:
        owner = self._scopes.parent(function)
        bases = [last_name(base) for base in owner.bases] if isinstance(owner, ast.ClassDef) else []
        return (
            function.name == "forward"
            or (function.name.startswith("__") and function.name.endswith("__"))
            or any(base.endswith(_CALLED_BY_OTHERS) for base in bases)
            or any(last_name(one) not in _TRANSPARENT for one in function.decorator_list)
        )

    def _follows_home(self, node: ast.AST) -> bool:
        """Whether *node*, at module level, stands after the only statements that call the loop's function."""
        if self.home is None or self._scopes.parent(self.home) is not self._scopes.tree:
            return False
        mentions = self._scopes.mentions(self.home.name)
        is_plain = all(self._scopes.function_of(mention) is None for mention in mentions)
        return is_plain and 0 < max((one.end_lineno or 0 for one in mentions), default=0) < getattr(node, "lineno", 0)


class _Analysis:
    """Judges each read of each flag."""

    def __init__(
        self,
        tree: ast.Module,
        loop: ast.For | ast.AsyncFor | ast.While,
        owner: ast.ClassDef,
        arguments: tuple[ScriptArgument, ...],
    ) -> None:
        self._scopes = Scopes(tree)
        self._arguments = {one.name: one for one in arguments}
        self._holders = Holders(self._scopes, owner)
        self._flow = ValueFlow(self._scopes)
        self._stages = _Stages(self._scopes, loop)
        self._objects = OwnObjects(self._scopes, self._holders, home=self._stages.home, is_before=self._is_before)
        self._optimizers = OptimizerGroups(
            self._scopes, self._holders, self._flow, self._objects, home=self._stages.home
        )
        self._kept: dict[str, list[Kept]] = defaultdict(list)
        self._fixed: dict[str, tuple[int, str]] = {}
        self._visible = self._holders.visible_from(self._stages.home)
        self._loop_line = loop.lineno

    def result(self) -> Liveness:
        """Return the arguments as judged."""
        if not self._visible:
            self._fix(self._arguments, self._loop_line, "begins the main loop, from where the flags cannot be reached")
        for node in ast.walk(self._scopes.tree):
            if self._holders.holds(node):
                self._judge_holder(node)
        return Liveness(tuple(map(self._judged, self._arguments.values())), self._visible)

    def _judge_holder(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            return
        around = self._scopes.parent(node)
        if isinstance(around, ast.Attribute) and around.attr in self._arguments:
            if isinstance(around.ctx, ast.Load):
                self._judge_read(around)
            elif self._stages.of(around) is not _Stage.AFTER:
                self._fix([around.attr], around.lineno, "sets it itself")
        elif not (isinstance(around, ast.Attribute) and not around.attr.startswith("__")):
            self._judge_mention(node)

    def _judge_read(self, flag: ast.Attribute) -> None:
        if self._stages.of(flag) is not _Stage.BEFORE or self._flow.ends_harmlessly(flag):
            return
        if self._optimizers.take(flag):
            return
        kept = self._objects.kept(flag)
        if kept is not None:
            self._kept[flag.attr].append(kept)
        else:
            self._fix([flag.attr], flag.lineno, "uses it before the main loop")

    def _judge_mention(self, node: ast.AST) -> None:
        """Judge a use of the object with all flags."""
        if self._stages.of(node) is not _Stage.BEFORE or self._flow.ends_harmlessly(node):
            return
        if not self._holders.is_handed_on(node):
            line = getattr(node, "lineno", self._loop_line)
            self._fix(self._arguments, line, "uses all flags together before the main loop")

    def _fix(self, names: Iterable[str], line: int, why: str) -> None:
        for name in names:
            if line < self._fixed.get(name, (1 << 60,))[0]:
                self._fixed[name] = line, why

    def _is_before(self, node: ast.AST) -> bool:
        return self._stages.of(node) is _Stage.BEFORE

    def _judged(self, argument: ScriptArgument) -> ScriptArgument:
        groups, obstacles = self._optimizers.groups(argument.name, is_before=self._is_before)
        for obstacle in obstacles:
            self._fix([argument.name], obstacle.line, obstacle.why)
        if argument.name in self._fixed:
            line, why = self._fixed[argument.name]
            return replace(argument, fixed_line=line, fixed_why=why)
        return replace(
            argument,
            group_keys=tuple((one.variable, one.key) for one in groups),
            group_conditions=tuple((one.variable, *condition) for one in groups for condition in one.conditions),
            kept_as=tuple(dict.fromkeys((one.variable, one.attribute) for one in self._kept[argument.name])),
        )
