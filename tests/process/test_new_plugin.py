"""What 'arena plugins new' writes passes its own tests and our style as it is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from arena_ray.cli.new_plugin import write_plugin
from arena_ray.model.states import Scope

CONFIG = str(Path(__file__).parents[2] / "pyproject.toml")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    for scope in Scope:
        write_plugin(f"with_scope_{scope}", scope, folder)
        write_plugin(f"x{'_long' * 7}_{scope[:3]}", scope, folder)
    return folder


def test_the_tests_pass(written: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=written, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout
    assert "skipped" not in done.stdout


# As in our own tests, the name of a test is its docstring.
CHECK = ["check", "--extend-per-file-ignores", "test_*.py:D103"]


@pytest.mark.parametrize("command", [CHECK, ["format", "--check"]], ids=["check", "format"])
def test_the_files_are_in_style(written: Path, command: list[str]) -> None:
    ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", CONFIG, str(written)]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
