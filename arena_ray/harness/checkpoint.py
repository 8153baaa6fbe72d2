"""Checkpoint directories: written under a ``.partial`` name, synced, and renamed only when they are complete."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from .large_arrays import ARRAYS, ArrayFiles, sync_directory

POLICY = "policy.safetensors"
POLICY_NOTE = "policy.json"
STATE = "resume/state.pkl"
META = "resume/meta.json"
MANIFEST = "manifest.json"
SCHEMA_VERSION = 1


class Written(NamedTuple):
    """A complete checkpoint: digests are sha256 in hex, of the manifest and of the weights."""

    digest: str
    policy_digest: str
    size_bytes: int


class DigestingFile:
    """A binary file that knows the digest and size of what was written to it."""

    def __init__(self, file: Any, on_progress: Callable[[], None]) -> None:
        self._file = file
        self._on_progress = on_progress
        self.restart()

    def write(self, data: Any) -> int:
        """Write *data*."""
        self._digest.update(data)
        size = memoryview(data).nbytes
        self._size += size
        self._file.write(data)
        self._on_progress()
        return size

    def restart(self) -> None:
        """Forget what was written."""
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self._size = 0

    def entry(self) -> Dict[str, Any]:
        """Return the file's entry in a manifest."""
        return {"sha256": self._digest.hexdigest(), "bytes": self._size}


class Writer:
    """Writes one checkpoint directory. Its place is *path*; until :meth:`finish` all lies beside it.

    Args:
        path: Where it is to lie.
        previous: A complete checkpoint whose large arrays may be shared, where they have not changed.
        on_progress: Called again and again.

    Raises:
        OSError: The directory cannot be made.
    """

    def __init__(
        self, path: Path, *, previous: Optional[Path] = None, on_progress: Callable[[], None] = lambda: None
    ) -> None:
        self.path = path
        self._partial = partial_path(path)
        self._on_progress = on_progress
        self._files: Dict[str, Dict[str, Any]] = {}
        discard(path)  # what a killed process left
        (self._partial / "resume").mkdir(parents=True)
        self.arrays = ArrayFiles(self._partial, previous, on_progress)

    def add(self, name: str, write: Callable[[Any], None]) -> None:
        """Add the file *name*, which *write* fills."""
        with (self._partial / name).open("wb") as file:
            digesting = DigestingFile(file, self._on_progress)
            write(digesting)
            file.flush()
            os.fsync(file.fileno())
        self._files[name] = digesting.entry()
        self._on_progress()

    def add_json(self, name: str, value: Any) -> None:
        """Add the file *name* with *value* as JSON."""
        self.add(name, lambda file: _write_json(file, value))

    def finish(self) -> Written:
        """Add the manifest, sync all and give the directory its name; one that lies there already gives way."""
        if self.arrays.listed:
            self.add_json(ARRAYS, self.arrays.listed)
        self._files.update(self.arrays.finish())
        size = sum(entry["bytes"] for entry in self._files.values())
        self.add_json(MANIFEST, {"schema_version": SCHEMA_VERSION, "files": dict(self._files)})
        manifest = self._files.pop(MANIFEST)
        sync_directory(self._partial / "resume")
        sync_directory(self._partial)
        try:
            self._partial.replace(self.path)
        except OSError as exc:
            if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            self._replace_older()
        sync_directory(self.path.absolute().parent)
        return Written(manifest["sha256"], self._files[POLICY]["sha256"], size + manifest["bytes"])

    def _replace_older(self) -> None:
        """Take the place of a checkpoint of the same step: a restored run comes by there a second time."""
        older = self.path.with_name(self.path.name + ".older")
        shutil.rmtree(older, ignore_errors=True)
        self.path.replace(older)
        self._partial.replace(self.path)
        shutil.rmtree(older, ignore_errors=True)


class Kept:
    """The files of a checkpoint in memory, for a :class:`Writer` later: takes what that takes, and copies it."""

    def __init__(self) -> None:
        self._files: Dict[str, io.BytesIO] = {}
        self.arrays = _KeptArrays()

    def add(self, name: str, write: Callable[[Any], None]) -> None:
        """Add the file *name*, which *write* fills."""
        self._files[name] = file = _KeptFile()
        write(file)

    def add_json(self, name: str, value: Any) -> None:
        """Add the file *name* with *value* as JSON."""
        self.add(name, lambda file: _write_json(file, value))

    def pour(self, writer: Writer) -> None:
        """Write everything.

        Raises:
            OSError: It cannot be written.
        """
        for array in self.arrays.copies:
            writer.arrays.add(memoryview(array))
        for name, kept in self._files.items():
            writer.add(name, _copy_from(kept))


class _KeptFile(io.BytesIO):
    def restart(self) -> None:
        self.seek(0)
        self.truncate()


class _KeptArrays:
    def __init__(self) -> None:
        self.copies: List[bytes] = []

    def add(self, memory: memoryview) -> int:
        self.copies.append(bytes(memory))
        return len(self.copies) - 1

    def restart(self) -> None:
        self.copies = []


def partial_path(path: Path) -> Path:
    """Return where a checkpoint lies until it is complete."""
    return path.with_name(path.name + ".partial")


def discard(path: Path) -> None:
    """Remove what was written of the checkpoint at *path*, if it is not complete."""
    shutil.rmtree(partial_path(path), ignore_errors=True)


def _copy_from(kept: io.BytesIO) -> Callable[[Any], None]:
    return lambda file: file.write(kept.getbuffer())


def _write_json(file: Any, value: Any) -> None:
    file.write((json.dumps(value, indent=1, sort_keys=True) + "\n").encode())
