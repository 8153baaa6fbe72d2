"""Checks a checkpoint directory against what was recorded of it, before anything in it is read."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from arena_ray.model.errors import CheckpointCorrupt
from arena_ray.model.paths import CheckpointFiles
from arena_ray.model.records import Checkpoint

_UNFINISHED = re.compile(r"-a(\d+)-\d+\.(partial|older)$")


def file_digest(path: Path) -> str:
    """Return the sha256 of the file at *path*."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_checkpoint(root: Path, *, digest: str) -> None:
    """Check every file of the checkpoint at *root*.

    Args:
        root: The checkpoint's directory.
        digest: sha256 of its manifest, as recorded when it was written.

    Raises:
        CheckpointCorrupt: Something is missing, truncated, altered or not listed.
    """
    files = CheckpointFiles(root)
    try:
        if file_digest(files.manifest) != digest:
            raise CheckpointCorrupt(str(root), reason="its manifest is not the one that was recorded")
        listed = json.loads(files.manifest.read_text(encoding="utf-8"))["files"]
        for name, expected in listed.items():
            if file_digest(root / name) != expected["sha256"]:
                raise CheckpointCorrupt(str(root), reason=f"{name} was altered or is cut short")
    except FileNotFoundError as exc:
        raise CheckpointCorrupt(str(root), reason=f"{Path(exc.filename).name} is missing") from exc
    present = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    if unlisted := present - set(listed) - {files.manifest.name}:
        raise CheckpointCorrupt(str(root), reason=f"{', '.join(sorted(unlisted))} is not in its manifest")


def choose_checkpoint(candidates: Sequence[Checkpoint]) -> tuple[Checkpoint | None, list[str]]:
    """Return the first of *candidates* that is sound, and a note for each one that is not."""
    notes: list[str] = []
    for checkpoint in candidates:
        try:
            verify_checkpoint(Path(checkpoint.uri), digest=checkpoint.digest)
        except (CheckpointCorrupt, OSError) as exc:
            notes.append(f"{exc}; the one before it is used")
        else:
            return checkpoint, notes
    return None, notes


def remove_checkpoint_files(root: Path) -> None:
    """Delete the directory at *root*, which is no longer needed; nothing happens where it is gone already."""
    shutil.rmtree(root, ignore_errors=True)


def remove_unfinished(directory: Path, *, before_attempt: int) -> None:
    """Delete what attempts before this one left in *directory* of checkpoints that they did not complete."""
    for path in directory.iterdir():
        unfinished = _UNFINISHED.search(path.name)
        if unfinished and int(unfinished[1]) < before_attempt:
            remove_checkpoint_files(path)
