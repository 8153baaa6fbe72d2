"""Commands that start processes or play trainings: over the workspace and gateway of the unit tests."""

from unit.cli.conftest import (
    add_run,
    arena,
    arena_process,
    gateway,
    orchestrator,
    plugin_file,
    spec_file,
    store,
    workspace,
)

__all__ = [
    "add_run",
    "arena",
    "arena_process",
    "gateway",
    "orchestrator",
    "plugin_file",
    "spec_file",
    "store",
    "workspace",
]
