"""Original scripts in a folder, which the variable UPSTREAM names, and what became of each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness_kit import train

__all__ = ["train"]

TABLE = pytest.StashKey[list[tuple[str, ...]]]()
HEAD = ("script", "gymnasium", "steps", "killed at", "episodes", "weights", "rows")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = []


@pytest.fixture(scope="session")
def upstream() -> Path:
    named = os.environ.get("UPSTREAM")
    if not named:
        pytest.skip("no original scripts: make test-upstream UPSTREAM=DIR, a clone of CleanRL")
    return Path(named).resolve()


@pytest.fixture(scope="session")
def older_python() -> str:
    named = os.environ.get("UPSTREAM_PYTHON")
    if not named:
        pytest.skip("no interpreter with gymnasium 0.29.1: UPSTREAM_PYTHON names it; make test-upstream makes one")
    return named


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """What a test finds out, a row of the table that is printed at the end."""
    row: list[str] = []
    yield row
    request.config.stash[TABLE].append(tuple(row))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = [row for row in config.stash[TABLE] if row]
    if rows:
        terminalreporter.section("killed and resumed")
        for row in (HEAD, tuple("-" for _ in HEAD), *rows):
            terminalreporter.write_line("| " + " | ".join(row) + " |")
