"""What can be said of a script in CleanRL's form without running it."""

from __future__ import annotations

import ast
import functools

from arena_ray.harness import mainloop
from arena_ray.model.errors import SpecError
from arena_ray.runner.arguments import read_arguments
from arena_ray.runner.liveness import Liveness, find_liveness
from arena_ray.runner.protocol import MainLoop, ScriptReport
from arena_ray.runner.source import parse_source

_REGISTERING = {"register", "register_envs"}


def _imports(tree: ast.Module) -> tuple[str, ...]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return tuple(sorted(names))


def _registers_environments(tree: ast.Module) -> bool:
    """Whether the script calls Gymnasium's ``register`` or ``register_envs``, under whatever name it imported them."""
    modules: set[str] = set()
    functions: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {
                alias.asname or "gymnasium" for alias in node.names if alias.name.partition(".")[0] == "gymnasium"
            }
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "gymnasium":
            functions |= {alias.asname or alias.name for alias in node.names if alias.name in _REGISTERING}
            modules |= {alias.asname or alias.name for alias in node.names}
    return any(_is_registration(node, modules, functions) for node in ast.walk(tree))


def _is_registration(node: ast.AST, modules: set[str], functions: set[str]) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id in functions
    root: ast.expr = node.func
    while isinstance(root, ast.Attribute):
        root = root.value
    is_named_so = isinstance(node.func, ast.Attribute) and node.func.attr in _REGISTERING
    return is_named_so and isinstance(root, ast.Name) and root.id in modules


def _is_cuda(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.partition(":")[0] == "cuda"


def _requires_cuda(tree: ast.Module) -> bool:
    """Whether the script puts something on CUDA and asks nowhere if there is any."""
    demands = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "is_available":
            return False
        if isinstance(node, ast.Call):
            callee = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            placed = callee in ("device", "to", "set_default_device") and any(map(_is_cuda, node.args))
            keyword = any(one.arg == "device" and _is_cuda(one.value) for one in node.keywords)
            demands = demands or callee == "cuda" or placed or keyword
    return demands


def _main_loop(tree: ast.Module) -> MainLoop | None:
    loop = mainloop.find(tree)
    return MainLoop(loop.line, loop.end_line, loop.scope, loop.kind) if loop else None


def inspect_script(source: str, *, path: str) -> ScriptReport:
    """Return what can be said of *source*, a script in CleanRL's form; *path* names it in errors.

    Raises:
        SpecError: It is not Python.
    """
    return _inspect(source, path)


@functools.lru_cache(maxsize=32)  # a study checks the same script for each of its runs
def _inspect(source: str, path: str) -> ScriptReport:
    tree = parse_source(source, path=path)
    try:
        loop, liveness = _main_loop(tree), Liveness(read_arguments(source, path=path), holders=())
        if loop is not None:
            liveness = find_liveness(tree, loop, liveness.arguments)
        return ScriptReport(
            main_loop=loop,
            arguments=liveness.arguments,
            requires_cuda=_requires_cuda(tree),
            registers_environments=_registers_environments(tree),
            imports=_imports(tree),
            holders=liveness.holders,
        )
    except RecursionError as exc:
        raise SpecError(f"{path}: an expression in it is nested too deeply to be read") from exc
