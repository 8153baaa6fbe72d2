"""Reading a script as text and as a syntax tree; it is never imported."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

from arena_ray.model.errors import SpecError

LARGEST_FILE_BYTES = 1024 * 1024


def read_source(path: Path) -> str:
    """Return the text of the script at *path*, its line ends as they are.

    Raises:
        SpecError: It cannot be read, is too large, or is not UTF-8 text.
    """
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise SpecError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    if len(content) > LARGEST_FILE_BYTES:
        raise SpecError(f"{path} has {len(content)} bytes; a script may have {LARGEST_FILE_BYTES}")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise SpecError(f"{path} is not UTF-8 text (byte {exc.start}); a bundle holds Python text only") from exc


def parse_source(source: str, *, path: str) -> ast.Module:
    """Return the syntax tree of *source*; *path* is its name in errors.

    Raises:
        SpecError: It is not Python that this interpreter can read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash in somebody's docstring is not our finding
            return ast.parse(source.removeprefix("\ufeff"), filename=path)
    except SyntaxError as exc:
        raise SpecError(f"{path}:{exc.lineno or 1}: not valid Python: {exc.msg}") from exc
    except (ValueError, RecursionError, MemoryError) as exc:
        raise SpecError(f"{path}:1: not readable as Python: {exc or type(exc).__name__}") from exc
