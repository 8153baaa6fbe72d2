from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stats_kit import install_writer

__all__ = ["install", "install_writer"]

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a made-up distribution by laying it on sys.path; keys are modules, ``__`` stands for a dot."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install_distribution(distribution: str, *, value: str, **modules: str) -> Path:
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[arena_ray.plugins]\n{distribution}-point = {value}\n")
        for key, source in modules.items():
            module = key.replace("__", ".")
            path = tmp_path / f"{module.replace('.', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)
            if "." in module:
                (path.parent / "__init__.py").touch()
                monkeypatch.delitem(sys.modules, module.rpartition(".")[0], raising=False)
            monkeypatch.delitem(sys.modules, module, raising=False)
        return tmp_path

    return install_distribution
