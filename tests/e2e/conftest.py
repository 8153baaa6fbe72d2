from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.terminal import Terminal


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal in a fresh workspace. What a module's tests leave running is ended."""
    # Ray's sockets lie in the temporary directory, and their paths must be short.
    with tempfile.TemporaryDirectory(prefix="e2e-", ignore_cleanup_errors=True) as scratch:
        terminal = Terminal(tmp_path_factory.mktemp("e2e"), scratch=Path(scratch))
        yield terminal
        terminal.end_everything()
