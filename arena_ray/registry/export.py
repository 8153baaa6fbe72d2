"""The checkpoint registry as a file, for tools that read no database."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from arena_ray.model.errors import RegistryError
from arena_ray.model.naming import algorithm_of, new_id
from arena_ray.model.records import Checkpoint, Run
from arena_ray.registry.store import Store


def export_runs(store: Store, path: Path) -> int:
    """Write one JSON object a line, for each run that has a checkpoint, and return how many these are.

    ``global_step`` and ``episodic_return`` are those of the checkpoint, the run's furthest; null where nothing was
    measured. Readers of *path* see the former file or the new one, whole.

    Raises:
        RegistryError: The registry cannot be read, or the file cannot be written.
    """
    latest = store.list_latest_checkpoints()
    lines = [
        json.dumps(_line(run, latest[run.run_id]), allow_nan=False) + "\n"
        for run in store.list_runs()
        if run.run_id in latest
    ]
    try:
        _replace(path, "".join(lines))
    except OSError as exc:
        raise RegistryError(f"the runs cannot be exported to {path}: {exc.strerror or exc}") from exc
    return len(lines)


def _line(run: Run, checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "agent": algorithm_of(run.script),
        "env": run.env_id,
        "seed": run.seed,
        "state": run.state.value,
        "global_step": checkpoint.global_step,
        "episodic_return": checkpoint.model_dump(mode="json")["episodic_return"],
        "checkpoint_uri": checkpoint.uri,
        "metrics_digest": checkpoint.metrics_digest,
    }


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{new_id()}.partial")
    try:
        with partial.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the new name is on disk too
    finally:
        os.close(directory)
