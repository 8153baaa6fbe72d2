"""The command line, ``arena``. At the top its modules import only what every command needs; the rest waits."""

from __future__ import annotations

from arena_ray.cli.app import main

__all__ = ["main"]
