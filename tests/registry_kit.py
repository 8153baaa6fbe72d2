"""Registries that hold nothing yet: made by the migrations once, then copied, which takes a hundredth of the time."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from arena_ray.registry.store import Store


@functools.cache
def _empty_registry() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "registry.sqlite3"
        Store.open(f"sqlite:///{path}").close()
        return path.read_bytes()


def write_empty_registry(path: Path) -> None:
    """Write a registry of the newest schema to *path*."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(_empty_registry())
