"""The flags of a script: read from its source, checked against an experiment file, written as a command line."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from arena_ray.model.errors import SpecError, nearest
from arena_ray.model.spec import FlagValue, Scalar
from arena_ray.runner.flag_types import Misfit, fit
from arena_ray.runner.holders import argument_class, class_lineage, holder_names
from arena_ray.runner.protocol import ScriptArgument
from arena_ray.runner.scopes import last_name
from arena_ray.runner.source import parse_source

FILE_KEYS = ("env_id", "seed")
"""Flags that an experiment file gives by keys of its own."""


def _keywords(value: ast.expr | None) -> dict[str | None, ast.expr] | None:
    """Return the keywords of a call of ``dataclasses.field``, or None if *value* is no such call."""
    if isinstance(value, ast.Call) and last_name(value) == "field":
        return {keyword.arg: keyword.value for keyword in value.keywords}
    return None


def _literal(value: ast.expr | None) -> FlagValue:
    """Return the value that is written out, or None where it is computed."""
    if value is None:
        return None
    try:
        literal = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError):
        return None
    if isinstance(literal, tuple | list):
        items = list(literal)
        return items if all(isinstance(one, Scalar) for one in items) else None
    return literal if isinstance(literal, Scalar) else None


def _is_parsed(field: ast.AnnAssign) -> bool:
    init = (_keywords(field.value) or {}).get("init")
    is_hidden = isinstance(init, ast.Constant) and init.value is False
    return not is_hidden and "ClassVar" not in ast.unparse(field.annotation)


def _fields(owner: ast.ClassDef) -> Iterator[ScriptArgument]:
    for at, field in enumerate(owner.body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_parsed(field)):
            continue
        after = owner.body[at + 1] if at + 1 < len(owner.body) else None
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        keywords = _keywords(field.value)
        default = field.value if keywords is None else keywords.get("default")
        yield ScriptArgument(
            name=field.target.id,
            type=ast.unparse(field.annotation),
            default=_literal(default),
            help=" ".join(text.split()) if isinstance(text, str) else "",
            is_required=default is None and "default_factory" not in (keywords or {}),
        )


def _read_names(node: ast.AST, holders: set[str]) -> list[str]:
    return [
        one.attr
        for one in ast.walk(node)
        if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id in holders
    ]


def _overwritten(tree: ast.Module, holders: set[str]) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Return, by flag, where the script replaces it and by what it is computed.

    A flag from which its own new value is computed, or that is only filled in when a test of it says so, has an effect.
    """
    found: dict[str, tuple[int, tuple[str, ...]]] = {}
    waiting: list[tuple[ast.AST, frozenset[str]]] = [(tree, frozenset())]
    while waiting:
        node, tested = waiting.pop()
        if isinstance(node, ast.If):
            tested |= set(_read_names(node.test, holders))
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            sources = _read_names(node.value, holders)
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (name for target in targets for name in _read_names(target, holders)):
                if name not in tested and name not in sources and node.lineno < found.get(name, (1 << 60,))[0]:
                    found[name] = node.lineno, tuple(dict.fromkeys(sources))
        waiting += [(child, tested) for child in ast.iter_child_nodes(node)]
    return found


def _read(tree: ast.Module) -> tuple[ScriptArgument, ...]:
    owner = argument_class(tree)
    if owner is None:
        return ()
    declared = {field.name: field for parent in class_lineage(tree, owner) for field in _fields(parent)}
    overwritten = _overwritten(tree, holder_names(tree, owner.name))
    return tuple(
        replace(one, overwritten_line=overwritten[one.name][0], computed_from=overwritten[one.name][1])
        if one.name in overwritten
        else one
        for one in declared.values()
    )


def read_arguments(source: str, *, path: str) -> tuple[ScriptArgument, ...]:
    """Return the flags that *source* declares, in order: the fields of the dataclass that it gives to ``tyro.cli``.

    Raises:
        SpecError: *source* is not Python.
    """
    tree = parse_source(source, path=path)
    try:
        return _read(tree)
    except RecursionError as exc:
        raise SpecError(f"{path}: an expression in it is nested too deeply to be read") from exc


def _no_effect(argument: ScriptArgument, script: str) -> str:
    origin = f" from {', '.join(argument.computed_from)}; set those instead" if argument.computed_from else ""
    return f"it has no effect: {script} sets it itself in line {argument.overwritten_line}{origin}"


def flag_mistake(key: str, known: Mapping[str, ScriptArgument], script: str) -> str | None:
    """Return why *key* is not to be given as a flag of *script*, or None; *known* are its flags by their names."""
    if key in FILE_KEYS:
        return f"give it as the key {key!r} of the experiment file, beside 'script'"
    if key not in known:
        if not known:
            return f"{script} declares no flags that could be read: it gives no dataclass of its own to tyro.cli"
        usable = [name for name, one in known.items() if one.overwritten_line is None and name not in FILE_KEYS]
        return f"{script} has no such flag; {nearest(key.replace('-', '_'), usable)}"
    return _no_effect(known[key], script) if known[key].overwritten_line is not None else None


def check_flags(
    arguments: Sequence[ScriptArgument],
    *,
    script: str,
    hyperparameters: Mapping[str, FlagValue],
    flags: Mapping[str, FlagValue],
    gpu: float = 0.0,
) -> dict[str, FlagValue]:
    """Return all flags that the script is given, but for ``env_id`` and ``seed``: converted, in the script's order.

    ``cuda`` follows the GPUs that are asked for, unless it is given.

    Raises:
        SpecError: One line for each mistake.
    """
    known = {argument.name: argument for argument in arguments}
    mistakes, given = [], dict[str, FlagValue]()
    for section, values in (("hyperparameters", hyperparameters), ("flags", flags)):
        for key, value in values.items():
            mistake = flag_mistake(key, known, script)
            if mistake is None and section == "flags" and key in hyperparameters:
                mistake = "given under hyperparameters too; keep one of them"
            if mistake is None:
                try:
                    given[key] = fit(value, known[key].type)
                except Misfit:
                    mistake = f"{script} takes {known[key].type}, not {value!r}"
            if mistake is not None:
                mistakes.append(f"{section}.{key}: {mistake}")
    asked = {*hyperparameters, *flags, *FILE_KEYS}
    for argument in arguments:
        if argument.is_required and argument.name not in asked and argument.overwritten_line is None:
            mistakes.append(f"flags.{argument.name}: {script} needs it and has no default ({argument.type})")
    if mistakes:
        raise SpecError("\n".join(mistakes))
    if "cuda" in known and known["cuda"].type == "bool":
        given.setdefault("cuda", gpu > 0)
    return {name: given[name] for name in known if name in given}


def _spell(argument: ScriptArgument, value: FlagValue) -> Iterable[str]:
    name = argument.name.replace("_", "-")
    if argument.is_switch and isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, list):
        return [f"--{name}", *map(str, value)]
    if str(value).startswith("-"):  # apart from its flag it would be read as one
        return [f"--{name}={value}"]
    return [f"--{name}", str(value)]


def build_flags(
    arguments: Sequence[ScriptArgument], flags: Mapping[str, FlagValue], *, env_id: str, seed: int
) -> list[str]:
    """Return *flags* as tyro takes them, in the script's order. What the script does not declare is left out."""
    given = {**flags, "env_id": env_id, "seed": seed}
    return [word for one in arguments if one.name in given for word in _spell(one, given[one.name])]
