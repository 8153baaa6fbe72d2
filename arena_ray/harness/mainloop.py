"""Find the main loop of a script by its syntax tree, and instrument it in memory.

The main loop is the longest outermost loop that steps, trains, updates or back-propagates, at module level or in a
function; the methods of classes count only where no other loop does. The inserted code sits on the loop's own line,
so every line number in a traceback stays as it is in the file.
"""

from __future__ import annotations

import ast
import importlib.util
import symtable
from types import CodeType
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple, Union

Loop = Union[ast.For, ast.AsyncFor, ast.While]
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_KINDS = {ast.For: "for", ast.AsyncFor: "async for", ast.While: "while"}
_TRAINING_CALLS = {"backward", "learn", "step", "train", "train_step", "update"}

_BEGIN = """\
__arena_r__ = __arena_boundary__()
if __arena_r__ is not None:
{write_back}
    if __arena_r__.end == "exhausted": continue
    if __arena_r__.end == "left": break
"""
_EXHAUSTED = "__arena_exhausted__()"
_AFTER = """\
__arena_r__ = __arena_ended__()
if __arena_r__ is not None:
{write_back}
"""


class MainLoop(NamedTuple):
    """Where the main loop is: lines from 1, both included; *scope* is ``<module>`` or a function's name."""

    line: int
    end_line: int
    scope: str
    kind: str


class Instrumented(NamedTuple):
    """A script ready to run.

    *writable* are the local names that a restore may bind; None at module level. *target* is the variable that the loop
    binds in each pass; None where that is not one plain name.
    """

    code: CodeType
    loop: MainLoop
    writable: Optional[List[str]]
    target: Optional[str]


class _Found(NamedTuple):
    loop: Loop
    siblings: List[Any]
    scopes: Tuple[ast.AST, ...]

    @property
    def is_in_class(self) -> bool:
        return any(isinstance(scope, ast.ClassDef) for scope in self.scopes)

    @property
    def function(self) -> Any:
        return self.scopes[-1] if self.scopes and isinstance(self.scopes[-1], _FUNCTIONS) else None

    def describe(self) -> MainLoop:
        scope = ".".join(getattr(scope, "name", "") for scope in self.scopes) or "<module>"
        end = self.loop.end_lineno or self.loop.lineno
        return MainLoop(self.loop.lineno, end, scope, _KINDS[type(self.loop)])


def find(tree: ast.Module) -> MainLoop | None:
    """Return where the main loop of *tree* is, or None where no loop trains anything."""
    found = _search(tree)
    return found.describe() if found else None


def candidates(tree: ast.Module) -> List[MainLoop]:
    """Return every loop that trains, the main loop first; the others are run as they are."""
    chosen = _search(tree)
    rest = [one for one in _outermost_loops(tree, ()) if _trains(one.loop) and chosen and one.loop is not chosen.loop]
    return [one.describe() for one in ([chosen] if chosen else []) + rest]


def instrument(source: bytes, path: str) -> Instrumented | None:
    """Return *source* compiled with boundary calls in its main loop, or None where it has no main loop.

    Raises:
        SyntaxError: *source* is not Python.
    """
    tree = ast.parse(source, path)
    found = _search(tree)
    if found is None:
        return None
    description, loop = found.describe(), found.loop
    writable = _local_names(source, path, found.function) if found.function else None
    write_back = _write_back(writable or ())
    if isinstance(loop, ast.For):
        wrapped = ast.Call(ast.Name("__arena_loop__", ast.Load()), [loop.iter], [])
        loop.iter = ast.copy_location(wrapped, loop.iter)
        ast.copy_location(wrapped.func, loop.iter)
    loop.body[:0] = _statements(_BEGIN.format(write_back=write_back), loop.lineno)
    loop.orelse[:0] = _statements(_EXHAUSTED, loop.lineno)
    after = found.siblings.index(loop) + 1
    found.siblings[after:after] = _statements(_AFTER.format(write_back=write_back), loop.lineno)
    # dont_inherit: the __future__ imports of this file are not the script's
    target = getattr(getattr(loop, "target", None), "id", None)
    return Instrumented(compile(tree, path, "exec", dont_inherit=True), description, writable, target)


def _search(tree: ast.Module) -> _Found | None:
    training = [found for found in _outermost_loops(tree, ()) if _trains(found.loop)]
    candidates = [found for found in training if not found.is_in_class] or training
    return max(candidates, key=_length, default=None)


def _length(found: _Found) -> int:
    description = found.describe()
    return description.end_line - description.line


def _outermost_loops(node: ast.AST, scopes: tuple[ast.AST, ...]) -> Iterator[_Found]:
    for _, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, _LOOPS):
                yield _Found(child, value, scopes)
            elif isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
                yield from _outermost_loops(child, (*scopes, child))
            elif isinstance(child, ast.AST) and not isinstance(child, ast.expr):
                yield from _outermost_loops(child, scopes)


def _trains(loop: Loop) -> bool:
    for node in ast.walk(loop):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
            if name in _TRAINING_CALLS:
                return True
    return False


def _local_names(source: bytes, path: str, function: Any) -> list[str]:
    """Return the names that an assignment in *function* itself would bind, not in functions inside it."""
    text = importlib.util.decode_source(source)  # symtable takes no bytes before Python 3.9
    table = _table_of(symtable.symtable(text, path, "exec"), function)
    return sorted(
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_local()
        and not symbol.is_free()
        and not symbol.is_global()
        and symbol.get_name().isidentifier()
        and not symbol.get_name().startswith("__")
    )


def _table_of(table: symtable.SymbolTable, function: Any) -> symtable.SymbolTable:
    pending = [table]
    while pending:
        table = pending.pop()
        is_function = table.get_type() == "function"
        if is_function and (table.get_name(), table.get_lineno()) == (function.name, function.lineno):
            return table
        pending.extend(table.get_children())
    raise AssertionError(f"no symbol table for {function.name}")


def _write_back(names: list[str] | tuple[str, ...]) -> str:
    lines = [f"    if {name!r} in __arena_r__: {name} = __arena_r__[{name!r}]" for name in names]
    return "\n".join(lines) or "    pass"


def _statements(text: str, line: int) -> list[Any]:
    """Return *text* as statements that all lie on *line*."""
    statements = ast.parse(text).body
    for statement in statements:
        for node in ast.walk(statement):
            if "lineno" in node._attributes:
                at: Any = node
                at.lineno = at.end_lineno = line
                at.col_offset = at.end_col_offset = 0
    return statements
