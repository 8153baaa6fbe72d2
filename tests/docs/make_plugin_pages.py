"""Write what the code says of the api of plugins, and of the stage on which they are tested, into their pages."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.pages import ROOT

from arena_ray import testing
from arena_ray.plugin import PluginApi, PluginContext, PluginRevision, PluginRun
from arena_ray.plugin.handles import Database, Table
from arena_ray.testing import DeclarationContract, PluginStage, Training

API = ROOT / "docs" / "reference" / "plugin-api.md"
TESTING = ROOT / "docs" / "reference" / "testing.md"
BEGIN = "<!-- from here on written by make_plugin_pages -->\n"

_PARTS = re.compile(r"^(Args|Returns|Raises):\n", re.MULTILINE)
_ENTRY = re.compile(r"^    (\w+): ((?:.|\n(?!    \w+: ))*)", re.MULTILINE)


@dataclass(frozen=True)
class Docstring:
    """What a docstring in Google's style says."""

    text: str
    arguments: list[tuple[str, str]]
    returns: str
    errors: list[tuple[str, str]]


def read_docstring(thing: Any) -> Docstring:
    """Return the docstring of *thing*, as Markdown."""
    head, *rest = _PARTS.split((inspect.getdoc(thing) or "").partition("\n\n::\n")[0])
    parts = dict(zip(rest[::2], rest[1::2], strict=True))
    return Docstring(
        "\n\n".join(_markdown(each) for each in head.strip().split("\n\n")),
        [(name, _markdown(text)) for name, text in _ENTRY.findall(parts.get("Args", ""))],
        _markdown(parts.get("Returns", "")),
        [(name, _markdown(text)) for name, text in _ENTRY.findall(parts.get("Raises", ""))],
    )


def _markdown(text: str) -> str:
    text = re.sub(r":\w+:`(?:[\w.]+\.)?(\w+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", "\\|")


def signature(function: Any) -> str:
    """Return how *function* is called, without types."""
    shown, has_star = [], False
    for name, each in inspect.signature(function).parameters.items():
        if name == "self":
            continue
        if each.kind is each.KEYWORD_ONLY and not has_star:
            shown.append("*")
            has_star = True
        stars = {each.VAR_KEYWORD: "**", each.VAR_POSITIONAL: "*"}.get(each.kind, "")
        default = "" if each.default is each.empty else f"={each.default!r}"
        shown.append(f"{stars}{name}{default}")
    return f"{function.__name__}({', '.join(shown)})"


def described(name: str, function: Any) -> Iterator[str]:
    """Yield the section of a function, called *name* there."""
    told = read_docstring(function)
    returned = inspect.signature(function).return_annotation
    yield f"### `{name}`\n"
    yield f"`{signature(function)}`" + ("" if returned in (None, "None") else f" → `{returned}`") + "\n"
    yield told.text + "\n"
    if told.arguments:
        yield table(("argument", "meaning"), told.arguments)
    if told.returns:
        yield f"Returns {told.returns}\n"
    if told.errors:
        yield table(("raises", "where"), told.errors)


def table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    """Return a table whose first column is code."""
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| `{name}` | {text} |" for name, text in rows)]
    return "\n".join(lines) + "\n"


def members(kind: type, prefix: str) -> Iterator[str]:
    """Yield what objects of *kind* have: a table of what they hold, then a section for each call."""
    own = {name: each for name, each in vars(kind).items() if not name.startswith("_")}
    held = {name: each for name, each in own.items() if isinstance(each, property)}
    if held:
        rows = [(f"{prefix}{name}", " ".join(read_docstring(each).text.split())) for name, each in held.items()]
        yield table(("attribute", "holds"), rows)
    for name, each in own.items():
        if inspect.isfunction(each):
            yield from described(f"{prefix}{name}", each)


def api_part() -> str:
    """Return what the code says of the api."""
    parts = [
        ("The context", PluginContext, "context."),
        ("The calls", PluginApi, "api."),
        ("Runs", PluginRun, "run."),
        ("Revisions", PluginRevision, "revision."),
        ("The registry", Database, "api.db."),
        ("Tables of the registry", Table, "table."),
    ]
    lines = [BEGIN]
    for title, kind, prefix in parts:
        lines += [f"## {title}\n", read_docstring(kind).text + "\n", *members(kind, prefix)]
    return "\n".join(lines)


def testing_part() -> str:
    """Return what the code says of the stage, the trainings on it, and the contracts."""
    told, values = read_docstring(PluginStage), read_docstring(Training)
    lines = [BEGIN, "## `PluginStage`\n", f"`{signature_of_class(PluginStage)}`\n", told.text + "\n"]
    lines += [table(("argument", "meaning"), told.arguments), table(("raises", "where"), told.errors)]
    lines += [*members(PluginStage, "stage."), "## Trainings\n", values.text + "\n"]
    lines.append(table(("attribute", "holds"), [(f"training.{name}", text) for name, text in values.arguments]))
    ends = [getattr(testing, name) for name in testing.__all__ if name.startswith("Training") and name != "Training"]
    lines.append(table(("exception", "use"), [(each.__name__, read_docstring(each).text) for each in ends]))
    lines.append("## Contracts\n")
    contracts = [getattr(testing, name) for name in testing.__all__ if name.endswith("Contract")]
    for contract in contracts:
        lines += [f"### `{contract.__name__}`\n", read_docstring(contract).text + "\n"]
        lines += ["\n".join(f"- {sentence}" for sentence in checked(contract)) + "\n"]
    return "\n".join(lines)


def checked(contract: type) -> list[str]:
    """Return what *contract* checks itself, as its tests are called."""
    tests = [name.removeprefix("test_").replace("_", " ") for name in vars(contract) if name.startswith("test_")]
    return tests if contract is DeclarationContract else [*tests, "all of `DeclarationContract`"]


def signature_of_class(kind: type) -> str:
    """Return how *kind* is made."""
    return signature(kind.__init__).replace("__init__", kind.__name__)  # type: ignore[misc]


def shorten_defaults(text: str) -> str:
    """Return *text* without what no reader wants to see of defaults."""
    text = re.sub(r"<function (\w+) at \w+>", r"\1", text)
    return re.sub(r"script=\{.*?\}", "script=PPO", text)


PAGES = {API: api_part, TESTING: testing_part}


def up_to_date(path: Path) -> str:
    """Return the text of the page as it should be."""
    return path.read_text(encoding="utf-8").partition(BEGIN)[0] + shorten_defaults(PAGES[path]()).rstrip() + "\n"


def main() -> None:
    """Write the pages anew."""
    for path in PAGES:
        path.write_text(up_to_date(path), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
