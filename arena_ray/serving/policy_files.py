"""The files of a deployed policy: description and weights of a checkpoint, copied where retention leaves them alone.

Besides, the graph of one that is not described layer by layer. A checkpoint has none: what lies there under its name is
never read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from arena_ray.model.errors import CheckpointCorrupt, PolicyUnusable
from arena_ray.model.paths import CheckpointFiles, DeployedFiles
from arena_ray.model.records import Checkpoint


@dataclass(frozen=True)
class PolicyFiles:
    """Description, weights and graph, as bytes that were compared with their digests, or were made here."""

    description: bytes
    weights: bytes
    graph: bytes | None = None

    def digest(self) -> str:
        """Return the sha256 of the sha256 of each: what a replica compares before it reads them."""
        contents = [self.description, self.weights, *([] if self.graph is None else [self.graph])]
        return _sha256("".join(map(_sha256, contents)).encode())

    def write(self, target: Path) -> None:
        """Write the files to the directory *target*, which appears complete or not at all.

        Raises:
            OSError: They cannot be written.
        """
        files = DeployedFiles(target.with_name(target.name + ".partial"))
        shutil.rmtree(files.root, ignore_errors=True)
        files.root.mkdir(parents=True)
        _write_synced(files.policy_description, self.description)
        _write_synced(files.policy, self.weights)
        if self.graph is not None:
            _write_synced(files.graph, self.graph)
        _sync_directory(files.root)
        shutil.rmtree(target, ignore_errors=True)
        files.root.replace(target)
        _sync_directory(target.parent)


def read_deployed(root: Path, *, digest: str) -> PolicyFiles:
    """Return the files of the deployed policy at *root*.

    Raises:
        PolicyUnusable: They are missing, or are not those of this digest.
    """
    files = DeployedFiles(root)
    try:
        graph = files.graph.read_bytes() if files.graph.exists() else None
        found = PolicyFiles(files.policy_description.read_bytes(), files.policy.read_bytes(), graph)
    except OSError as exc:
        raise PolicyUnusable(str(root), reason=f"its files cannot be read: {exc}") from exc
    if found.digest() != digest:
        raise PolicyUnusable(str(root), reason="its files are not those that were deployed; deploy it again")
    return found


def read_checkpoint(checkpoint: Checkpoint) -> PolicyFiles:
    """Return description and weights of *checkpoint*, and read nothing else of it but its manifest.

    Raises:
        CheckpointCorrupt: A file is missing, or is not the one that the registry knows.
    """
    files = CheckpointFiles(Path(checkpoint.uri))
    try:
        manifest, description, weights = (
            path.read_bytes() for path in (files.manifest, files.policy_description, files.policy)
        )
        listed = json.loads(manifest)["files"] if _sha256(manifest) == checkpoint.digest else None
    except FileNotFoundError as exc:
        raise CheckpointCorrupt(checkpoint.uri, reason=f"{Path(exc.filename).name} is missing") from exc
    except OSError as exc:
        raise CheckpointCorrupt(checkpoint.uri, reason=f"it cannot be read: {exc}") from exc
    if listed is None:
        raise CheckpointCorrupt(checkpoint.uri, reason="its manifest is not the one that was recorded")
    for path, content in ((files.policy_description, description), (files.policy, weights)):
        if listed.get(path.name, {}).get("sha256") != _sha256(content):
            raise CheckpointCorrupt(checkpoint.uri, reason=f"{path.name} was altered or is cut short")
    if checkpoint.policy_digest != _sha256(weights):
        raise CheckpointCorrupt(checkpoint.uri, reason="its weights are not those that were recorded")
    return PolicyFiles(description, weights)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
