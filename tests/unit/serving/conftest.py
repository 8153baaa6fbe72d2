"""Checkpoints with a small policy, as the harness writes them, and their record in a registry."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from arena_ray.harness.safetensors_file import write
from arena_ray.model.records import Checkpoint

DESCRIPTION: dict[str, Any] = {
    "schema_version": 3,
    "script": "ppo.py",
    "modules": {"agent": "__main__.Agent"},
    "global_step": 128,
    "boundary": 1,
    "environment": {
        "env_id": "CartPole-v1",
        "observation_space": {
            "space": "box",
            "shape": [4],
            "dtype": "float32",
            "low": [-4.8, "-inf", -0.4, "-inf"],
            "high": [4.8, "inf", 0.4, "inf"],
        },
        "action_space": {"space": "discrete", "n": 2, "start": 0},
        "wrappers": ["TimeLimit"],
    },
    "policy": {
        "kind": "categorical",
        "act": "mode",
        "module": "agent",
        "network": [
            {"layer": "flatten"},
            {"layer": "linear", "in_features": 4, "out_features": 3, "weight": "a.weight", "bias": "a.bias"},
            {"layer": "tanh"},
            {"layer": "linear", "in_features": 3, "out_features": 2, "weight": "b.weight", "bias": None},
        ],
    },
    "missing": None,
}

NUMBERS: dict[str, Any] = {
    **DESCRIPTION,
    "environment": {
        **DESCRIPTION["environment"],
        "env_id": "Pendulum-v1",
        "action_space": {"space": "box", "shape": [2], "dtype": "float32", "low": -0.5, "high": [0.5, 0.25]},
    },
    "policy": {
        **DESCRIPTION["policy"],
        "kind": "gaussian",
        "act": "mean",
        "observation": [
            {"step": "normalize", "mean": [0, 1, 2, 3], "var": [1, 4, 9, 16], "dtype": "float64", "epsilon": 1e-8},
            {"step": "clip", "low": -1, "high": 1},
        ],
        "action": [{"step": "clip", "low": -0.5, "high": [0.5, 0.25]}],
    },
}
"""Of a policy whose actions are two numbers."""


def weights() -> dict[str, Any]:
    torch.manual_seed(0)
    return {"a.weight": torch.randn(3, 4), "a.bias": torch.randn(3), "b.weight": torch.randn(2, 3)}


def changed(value: Any, path: str, new: Any) -> Any:
    """Return a copy of *value* with *new* at *path*: ``policy.network.1.weight``."""
    copy = json.loads(json.dumps(value))
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    inner = copy
    for part in parents:
        inner = inner[part]
    inner[last] = new
    return copy


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> Callable[..., Checkpoint]:
    """Write a checkpoint, and return what a registry knows of it."""

    def make(
        description: dict[str, Any] = DESCRIPTION, tensors: dict[str, Any] | bytes | None = None, **keys: Any
    ) -> Checkpoint:
        root = tmp_path / f"checkpoint-{len(list(tmp_path.iterdir()))}"
        root.mkdir()
        (root / "policy.json").write_text(json.dumps(description))
        if isinstance(tensors, bytes):
            (root / "policy.safetensors").write_bytes(tensors)
        else:
            with (root / "policy.safetensors").open("wb") as file:
                write(file, tensors or weights())
        digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(root.iterdir())}
        manifest = json.dumps({"files": {name: {"sha256": digest} for name, digest in digests.items()}})
        (root / "manifest.json").write_text(manifest)
        known: dict[str, Any] = {
            "checkpoint_id": root.name,
            "run_id": "run",
            "attempt": 1,
            "boundary": 1,
            "global_step": 128,
            "uri": str(root),
            "digest": hashlib.sha256(manifest.encode()).hexdigest(),
            "policy_digest": digests["policy.safetensors"],
            "metrics_digest": "",
            "size_bytes": 1,
            "episodic_return": math.nan,
            "created_at": datetime.now(UTC),
        }
        return Checkpoint(**(known | keys))

    return make
