"""Which metrics a script logs, as far as its source tells."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from arena_ray.model.spec import Strict
from arena_ray.runner.source import parse_source


class Metric(Strict):
    """A scalar that a script logs. Lines count from 1."""

    tag: str | None
    """With ``*`` for each part that is computed; None where all of it is."""
    line: int | None
    """Where the source logs it; None where only the probe has told of it."""
    is_seen: bool | None = None
    """Whether the probe's trainings logged it; None without a probe. Some are logged only later on."""


def read_metrics(sources: Iterable[str], *, path: str) -> tuple[Metric, ...]:
    """Return what *sources*, the script and the modules beside it, give to ``add_scalar``, each tag once.

    Raises:
        SpecError: One of them is not Python; *path* names it.
    """
    found: dict[str | int, Metric] = {}
    for source in sources:
        for node in ast.walk(parse_source(source, path=path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_scalar":
                tag = _tag(_first_argument(node))
                found.setdefault(tag or node.lineno, Metric(tag=tag, line=node.lineno))
    return tuple(sorted(found.values(), key=lambda one: (one.tag is None, one.tag or "", one.line or 0)))


def compare_metrics(read: Iterable[Metric], seen: Iterable[str]) -> tuple[Metric, ...]:
    """Return the metrics with whether the probe has *seen* them, and those that it has seen besides."""
    left = set(seen)
    compared = []
    for one in read:
        matching = {tag for tag in left if one.tag is not None and _matches(one.tag, tag)}
        compared.append(one.model_copy(update={"is_seen": None if one.tag is None else bool(matching)}))
        left -= matching
    return (*compared, *(Metric(tag=tag, line=None, is_seen=True) for tag in sorted(left)))


def _first_argument(call: ast.Call) -> ast.expr | None:
    if call.args:
        return call.args[0]
    return next((keyword.value for keyword in call.keywords if keyword.arg == "tag"), None)


def _tag(node: ast.expr | None) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "*" for part in node.values]
        text = "".join(map(str, parts))
        return text if text.strip("*/") else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        text = (_tag(node.left) or "*") + (_tag(node.right) or "*")
        return text if text.strip("*/") else None
    return None


def _matches(pattern: str, tag: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), tag) is not None
