"""Plugins dropped into a folder as files: found by their names, loaded under names that nobody else has."""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings

PATTERN = "*_plugin.py"
"""Which files of a folder are plugins; folders below it are not looked into."""

TEST = "test_"
"""What the names of files begin with that are tests of plugins, and lie beside them."""


class _Source(importlib.abc.SourceLoader):
    """Reads a module's text each time: no bytecode is kept, which would hide a change within one second."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_data(self, path: str | bytes | os.PathLike[str]) -> bytes:
        return self._path.read_bytes()


def plugin_directories(workspace: Workspace, settings: Settings) -> list[Path]:
    """Return the folders whose files are plugins: ``plugins`` of the workspace, and those of ``plugin_path``."""
    if not settings.local_plugins:
        return []
    listed = [Path(part).expanduser() for part in settings.plugin_path.split(os.pathsep) if part]
    return list(dict.fromkeys(path.resolve() for path in (workspace.plugins, *listed)))


def drop_ins(directories: Sequence[Path]) -> Iterator[Path]:
    """Yield the plugin files of *directories*, by name within each."""
    for directory in directories:
        if directory.is_dir():
            found = (path for path in directory.glob(PATTERN) if path.is_file())
            yield from sorted(path for path in found if not path.name.startswith(TEST))


def fingerprint(directories: Sequence[Path]) -> str:
    """Return what changes whenever a Python file of *directories* does: a plugin may import those beside it."""
    digest = hashlib.sha256()
    for directory in directories:
        for path in sorted(directory.glob("*.py")) if directory.is_dir() else ():
            with suppress(FileNotFoundError):  # deleted in this moment
                stat = path.stat()
                digest.update(f"{path} {stat.st_mtime_ns} {stat.st_size} {stat.st_ino}\n".encode())
    return digest.hexdigest()


def load_drop_in(path: Path) -> ModuleType:
    """Return the module that the file is; in it, ``from .core import register_plugin`` works.

    Raises:
        BaseException: Whatever the file's own code raises.
    """
    package = _package(path.parent)
    name = f"{package}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_Source(path))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded as a module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and pickle look it up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _package(directory: Path) -> str:
    """Return the name of the package that stands for *directory*; its ``core`` is the door for plugins."""
    import arena_ray.plugin

    name = f"arena_drop_ins_{hashlib.sha256(str(directory).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        package = ModuleType(name, f"Plugins dropped into {directory}.")
        package.__path__ = [str(directory)]
        sys.modules[name] = package
        sys.modules[f"{name}.core"] = arena_ray.plugin
    return name
