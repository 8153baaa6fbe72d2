"""Stats writers as a user installs them, and what a run would tell them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arena_ray.model.paths import Workspace
from arena_ray.plugin.stats_writer import CheckpointSettings, EnvironmentSettings, RunFacts, RunOptions
from arena_ray.telemetry.writers import WriterTerms

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "stats_writer_plugin"

InstallWriter = Callable[..., Path]

KEEPS = """
import json
from pathlib import Path

class Keeps:
    def __init__(self, options):
        self.path = Path(options.checkpoint_settings.write_path) / "kept.jsonl"
    def keep(self, *row):
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\\n")
    def on_add_stat(self, category, key, value, aggregation):
        self.keep("stat", category, key, value, aggregation.name)
    def add_property(self, category, property_type, value):
        self.keep("property", category, property_type.name, value)
    def write_stats(self, category, values, step):
        self.keep("stats", category, {key: summary.full_dist for key, summary in values.items()}, step)

def make(options):
    return [Keeps(options)]
"""
"""A writer that keeps all that it is told, and derives from nothing."""


@pytest.fixture
def install_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstallWriter:
    """Install a registration function by laying a made-up distribution on sys.path; the first one has the module."""
    root = tmp_path / "site"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))

    def install(name: str, source: str = "", *, group: str = "arena_ray.stats_writer", value: str = "") -> Path:
        info = root / f"{name}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        with (info / "entry_points.txt").open("a") as file:
            file.write(f"[{group}]\n{name} = {value or f'{name}_mod:make'}\n")
        if source:
            (root / f"{name}_mod.py").write_text(source)
        return root

    return install


def install_example(directory: Path) -> Path:
    """Install the example distribution as pip does, without the network, and return the folder where it lies."""
    source, target = directory / "example", directory / "target"
    shutil.copytree(EXAMPLE, source)  # it is built where it lies
    options = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--no-compile",
    ]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", target, source], check=True, timeout=300
    )
    return target


def terms_for(home: Path, *, summary_steps: int = 10, **hyperparameters: Any) -> WriterTerms:
    """Return what writers would be told of a run."""
    files = Workspace(home).run("a-run")
    files.attempt(1).mkdir(parents=True)
    options = RunOptions(
        CheckpointSettings(run_id="a-run", results_dir=str(files.root.parent), resume=False),
        EnvironmentSettings(seed=1),
        RunFacts("id", 1, "x", 1, "cleanrl", "ppo", "CartPole-v1", hyperparameters),
    )
    return WriterTerms(options, files, summary_steps, os.environ)
