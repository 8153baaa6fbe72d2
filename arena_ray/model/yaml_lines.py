"""YAML that remembers its line numbers, reads numbers as YAML 1.2 does and refuses a key given twice."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from arena_ray.model.errors import SpecError


class _Loader(yaml.SafeLoader):
    """SafeLoader whose floats need no dot: ``1e-4`` is a number, as in YAML 1.2 and in every paper."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(\d[\d_]*(\.[\d_]*)?([eE][-+]?\d+)|\d[\d_]*\.[\d_]*|\.\d[\d_]*([eE][-+]?\d+)?|\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


@dataclass(frozen=True)
class LocatedDocument:
    """A parsed YAML mapping and the line of each of its keys."""

    data: dict[str, Any]
    source: str
    lines: dict[tuple[Hashable, ...], int] = field(default_factory=dict)

    def has(self, part: Hashable) -> bool:
        """Whether *part* is a key or an index somewhere in the document."""
        return any(loc and loc[-1] == part for loc in self.lines)

    def place(self, loc: Sequence[Hashable]) -> str:
        """Return ``file:line`` of the innermost part of *loc* that the document holds."""
        for end in range(len(loc), 0, -1):
            if tuple(loc[:end]) in self.lines:
                return f"{self.source}:{self.lines[tuple(loc[:end])]}"
        return f"{self.source}:1"


def _collect(node: yaml.Node, loc: tuple[Hashable, ...], lines: dict[tuple[Hashable, ...], int], source: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise SpecError(f"{source}:{key.start_mark.line + 1}: a key is a word, not a list or a mapping")
            here = (*loc, key.value)
            if here in lines:
                line, first = key.start_mark.line + 1, lines[here]
                raise SpecError(
                    f"{source}:{line}: {key.value!r} is given twice, first on line {first}; keep one of them"
                )
            lines[here] = key.start_mark.line + 1
            _collect(value, here, lines, source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*loc, index)] = value.start_mark.line + 1
            _collect(value, (*loc, index), lines, source)


def parse_located(text: str, *, source: str) -> LocatedDocument:
    """Parse *text*, a YAML mapping; *source* names it in errors.

    Raises:
        SpecError: The text is not YAML, is not a mapping, or gives a key twice.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        lines: dict[tuple[Hashable, ...], int] = {}
        if not isinstance(node, yaml.MappingNode):
            raise SpecError(f"{source}:1: a mapping of keys to values is expected, such as 'experiment: my-experiment'")
        _collect(node, (), lines, source)
        data = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise SpecError(f"{source}:{line}: not valid YAML: {exc.problem}") from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        if isinstance(exc, SpecError):
            raise
        raise SpecError(f"{source}: not valid YAML: {exc}") from exc
    return LocatedDocument(data=data, source=source, lines=lines)


def load_located(path: Path) -> LocatedDocument:
    """Read the YAML mapping at *path*.

    Raises:
        SpecError: The file cannot be read or parsed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise SpecError(
            f"no experiment file {path}; give the path of a YAML file, such as cluster/examples/ppo_cartpole.yaml"
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise SpecError(f"{path} cannot be read: {exc}") from exc
    return parse_located(text, source=str(path))
