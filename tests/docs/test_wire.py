"""docs/reference/wire.md names every message that either end sends or understands."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from docs.pages import ROOT, code, codes, page, table

from arena_ray.harness import examination
from arena_ray.harness.checkpoint import Written
from arena_ray.runner.session import Session

HARNESS = ROOT / "arena_ray" / "harness"
WIRE = page("reference/wire.md")


def nodes(path: Path) -> list[Any]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def texts(node: ast.AST | None) -> list[str]:
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def sent_up() -> dict[str, set[str]]:
    """Return the types of messages that the harness makes, with those of their keys that are written out there."""
    found: dict[str, set[str]] = {}
    for node in (node for path in HARNESS.glob("*.py") for node in nodes(path)):
        if isinstance(node, ast.Dict):
            items = {key: value for name, value in zip(node.keys, node.values, strict=True) for key in texts(name)}
            for kind in texts(items.pop("type", None)):
                found.setdefault(kind, set()).update(items)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_append":
            for kind in texts(node.args[0]):
                found.setdefault(kind, set()).update(keyword.arg for keyword in node.keywords if keyword.arg)
    return found


def sent_down() -> set[str]:
    modules = [ROOT / "arena_ray" / "runner" / name for name in ("session.py", "probe.py", "trial.py")]
    calls = [node for module in modules for node in nodes(module) if isinstance(node, ast.Call)]
    sends = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "send"]
    return {text for call in sends for text in texts(call.args[0])}


def understood_down() -> set[str]:
    """Return the types of commands that the harness knows."""
    comparisons = [node for node in nodes(HARNESS / "session.py") if isinstance(node, ast.Compare)]
    of_kind = [each for each in comparisons if isinstance(each.left, ast.Name) and each.left.id == "kind"]
    return {text for each in of_kind for text in texts(each.comparators[0])} | set(examination.COMMANDS)


def told(title: str) -> dict[str, set[str]]:
    [section] = [WIRE.section(each) for each in WIRE.titles(2) if each.startswith(title)]
    return {code(row[0]): set(codes(row[1])) for row in table(section)}


def test_every_message_of_the_harness_is_told_with_its_keys() -> None:
    up = told("Up")
    assert {"hello", "step", "boundary", "snapshot_saved", "bye"} <= sent_up().keys()
    for kind, keys in sent_up().items():
        assert kind in up
        assert keys <= up[kind], kind
    assert set(Written._fields) <= up["snapshot_saved"]


def test_every_message_that_the_run_takes_in_is_told() -> None:
    handled = {name.removeprefix("_on_") for name in vars(Session) if name.startswith("_on_")}
    assert handled
    assert handled <= told("Up").keys()


def test_every_command_is_told_and_understood() -> None:
    down = told("Down")
    assert sent_down()
    assert sent_down() <= down.keys()
    assert down.keys() == understood_down()
