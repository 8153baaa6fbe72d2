"""Reports that plugins write on their experiment: a text in Markdown, and what it shows beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

from arena_ray.model.errors import PluginMistake

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def save_report(directory: Path, name: str, markdown: str, files: Mapping[str, bytes]) -> str:
    """Write the report ``name.md`` and its *files* into *directory*, and return its path.

    A reader sees the former report or this one, whose files are there before it.

    Raises:
        PluginMistake: A name would lead elsewhere.
    """
    for each in (name, *files):
        if not _NAME.fullmatch(each):
            raise PluginMistake(f"{each!r} is no name for a report or its files: letters, digits, '.', '_' and '-'")
    directory.mkdir(parents=True, exist_ok=True)
    for each, content in files.items():
        _write(directory / each, content)
    path = directory / f"{name}.md"
    _write(path, markdown.encode())
    return str(path)


def _write(path: Path, content: bytes) -> None:
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
