from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from arena_ray.model.errors import RegistryError
from arena_ray.registry.export import export_runs


def test_each_run_with_a_checkpoint_is_one_line_about_its_furthest(bench: Any, tmp_path: Path) -> None:
    learned, _without, diverged = bench.submit(seed=1), bench.submit(seed=2), bench.submit(seed=3, script="my/sac.py")
    for run in (learned, diverged):
        bench.begin(run)
    bench.checkpoint(learned, boundary=2, episodic_return=20.0)
    bench.checkpoint(learned, boundary=5, episodic_return=50.0)
    bench.checkpoint(diverged, boundary=1, episodic_return=math.nan)
    path = tmp_path / "new" / "runs.jsonl"

    assert export_runs(bench.store, path) == 2
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert first == {
        "run_id": learned.run_id,
        "name": learned.name,
        "agent": "ppo",
        "env": "CartPole-v1",
        "seed": 1,
        "state": "starting",
        "global_step": 640,
        "episodic_return": 50.0,
        "checkpoint_uri": f"file:///checkpoints/{learned.name}/5",
        "metrics_digest": "metrics-5",
    }
    assert (second["run_id"], second["agent"], second["episodic_return"]) == (diverged.run_id, "sac", None)


def test_an_export_replaces_the_former_file_and_leaves_no_other(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "out" / "runs.jsonl"
    path.parent.mkdir()
    path.write_text("an old line\n")
    with path.open() as reader:  # whoever reads the old file now reads it to its end
        assert export_runs(bench.store, path) == 0
        assert reader.read() == "an old line\n"

    assert path.read_text() == ""
    assert list(path.parent.iterdir()) == [path]


def test_an_export_that_cannot_be_written_says_where(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.mkdir()

    with pytest.raises(RegistryError, match=r"runs\.jsonl"):
        export_runs(bench.store, path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["runs.jsonl", "var"]
