"""A script and the modules of its own that it imports, as one value that can be sent, kept and written out again."""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

from pydantic import StringConstraints, model_validator

from arena_ray.model.errors import ArenaError, SpecError
from arena_ray.model.spec import Strict
from arena_ray.runner.source import LARGEST_FILE_BYTES, parse_source, read_source

MOST_FILES = 200
LARGEST_BUNDLE_BYTES = 8 * LARGEST_FILE_BYTES

# Each part of the path begins with a letter or underscore or digit, so there is no `..`, no hidden file, no root.
FileName = Annotated[str, StringConstraints(pattern=r"^[^\W/][\w.-]*(/[^\W/][\w.-]*)*\.py$", max_length=200)]


class Bundle(Strict):
    """Python files by their path relative to one directory, with ``/``; ``entry`` is the script.

    That is the script's own directory, or where *entry* has a ``/`` one above it, which is then on the module path too.
    """

    entry: FileName
    files: dict[FileName, str]

    @model_validator(mode="after")
    def _within_limits(self) -> Self:
        if self.entry not in self.files:
            raise ValueError(f"entry {self.entry!r} is not among the files")
        _check_size({name: len(text.encode()) for name, text in self.files.items()})
        return self

    def digest(self) -> str:
        """Return the sha256 of the names and contents of all files, and of which is the entry."""
        summed = hashlib.sha256(self.entry.encode())
        for name, text in sorted(self.files.items()):
            for part in (name.encode(), text.encode()):
                summed.update(f"\n{len(part)}:".encode() + part)
        return summed.hexdigest()

    def materialise(self, directory: Path) -> Path:
        """Write the files into ``directory/<digest>``, once, and return the path of the script there.

        Raises:
            ArenaError: The files there are not those of the bundle.
            OSError: They cannot be written.
        """
        final = directory / self.digest()
        if not final.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            partial = directory / f".{final.name}.{uuid.uuid4().hex}.partial"
            try:
                self._write(partial)
                partial.rename(final)
            except OSError:
                if not final.is_dir():  # else another process was faster
                    raise
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        self._verify(final)
        return final / self.entry

    def add_modules(self, env: Mapping[str, str], *, script: Path) -> dict[str, str]:
        """Return *env* with which a script, written to *script*, finds the modules that are not beside it."""
        depth = len(PurePosixPath(self.entry).parts)
        if depth == 1:
            return dict(env)
        modules = str(script.parents[depth - 1])
        return {**env, "PYTHONPATH": os.pathsep.join(filter(None, [modules, env.get("PYTHONPATH")]))}

    def _write(self, root: Path) -> None:
        for name, text in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())

    def _verify(self, root: Path) -> None:
        found = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
        differing = sorted(
            name
            for name in found.keys() | self.files.keys()
            if name not in found
            or name not in self.files
            or found[name].is_symlink()
            or found[name].read_bytes() != self.files[name].encode()
        )
        if differing:
            raise ArenaError(
                f"{root} was changed after it was written ({', '.join(differing)}); delete it, and it is written again"
            )


def _check_size(sizes: dict[str, int]) -> None:
    if len(sizes) > MOST_FILES:
        raise ValueError(f"the script and the modules beside it are {len(sizes)} files; a bundle holds {MOST_FILES}")
    for name, size in sizes.items():
        if size > LARGEST_FILE_BYTES:
            raise ValueError(f"{name} has {size} bytes; a script may have {LARGEST_FILE_BYTES}")
    if sum(sizes.values()) > LARGEST_BUNDLE_BYTES:
        raise ValueError(f"the files have {sum(sizes.values())} bytes; a bundle holds {LARGEST_BUNDLE_BYTES}")


def _imported(tree: ast.Module, *, package: PurePosixPath) -> Iterator[PurePosixPath]:
    """Yield what *tree*, a module in *package*, may import, as paths without suffix relative to the script."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (PurePosixPath(*alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = PurePosixPath()
            if node.level:
                if node.level > len(package.parts):  # beyond the script's directory Python has no package either
                    continue
                start = PurePosixPath(*package.parts[: len(package.parts) - node.level + 1])
            module = start.joinpath(*(node.module or "").split("."))
            yield module
            yield from (module / alias.name for alias in node.names if alias.name != "*")


def _files_of(module: PurePosixPath, root: Path) -> Iterator[str]:
    """Yield the files beside the script that importing *module* runs: its parents' ``__init__.py`` and its own."""
    for depth in range(1, len(module.parts) + 1):
        part = PurePosixPath(*module.parts[:depth])
        package, plain = part / "__init__.py", part.with_name(f"{part.name}.py")
        if (root / package).is_file():
            yield package.as_posix()
        elif (root / plain).is_file():
            yield plain.as_posix()
            return
        elif not (root / part).is_dir():
            return


def _require_inside(name: str, root: Path) -> Path:
    path = root / name
    if not path.resolve().is_relative_to(root):
        raise SpecError(f"{path} leads out of the script's directory, to {path.resolve()}; copy the module beside it")
    return path


def read_bundle(script: Path, *, root: Path | None = None) -> Bundle:
    """Read the script at *script* and, recursively, the modules that it imports and that lie beside it or in *root*.

    Args:
        script: The script.
        root: A directory above it whose modules it imports as well; its own directory by default.

    Raises:
        SpecError: A file is no readable Python, lies outside *root*, or all are too many or too large.
    """
    script = script.resolve()  # as Python does, to find what lies beside it
    root = (root or script.parent).resolve()
    entry = script.relative_to(root)
    files, waiting, home = dict[str, str](), [entry.as_posix()], PurePosixPath(entry.parent.as_posix())
    while waiting:
        name = waiting.pop()
        if name in files:
            continue
        source = read_source(_require_inside(name, root))
        tree = parse_source(source, path=str(root / name))
        files[name] = source
        package = PurePosixPath(name).parent
        for module in _imported(tree, package=package):
            for place in {home, PurePosixPath()}:
                waiting += _files_of(place / module, root)
        try:
            _check_size({known: len(text.encode()) for known, text in files.items()})
        except ValueError as exc:
            raise SpecError(f"{script}: {exc}") from exc
    try:
        return Bundle(entry=entry.as_posix(), files=dict(sorted(files.items())))
    except ValueError as exc:
        raise SpecError(
            f"{script}: a script's name ends with .py and has letters, digits, '_', '-' and '.' only"
        ) from exc
