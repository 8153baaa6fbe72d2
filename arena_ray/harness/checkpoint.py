"""Checkpoint directories: written under a ``.partial`` name, synced, and renamed only when they are complete."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple

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

    def __init__(self, file: Any) -> None:
        self._file = file
        self.restart()

    def write(self, data: Any) -> int:
        """Write *data*."""
        self._digest.update(data)
        size = memoryview(data).nbytes
        self._size += size
        self._file.write(data)
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

    Raises:
        OSError: The directory cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_name(path.name + ".partial")
        self._files: Dict[str, Dict[str, Any]] = {}
        shutil.rmtree(self._partial, ignore_errors=True)  # what a killed process left
        (self._partial / "resume").mkdir(parents=True)

    def add(self, name: str, write: Callable[[DigestingFile], None]) -> None:
        """Add the file *name*, which *write* fills."""
        with (self._partial / name).open("wb") as file:
            digesting = DigestingFile(file)
            write(digesting)
            file.flush()
            os.fsync(file.fileno())
        self._files[name] = digesting.entry()

    def add_json(self, name: str, value: Any) -> None:
        """Add the file *name* with *value* as JSON."""
        text = json.dumps(value, indent=1, sort_keys=True) + "\n"
        self.add(name, lambda file: _write_text(file, text))

    def finish(self) -> Written:
        """Add the manifest, sync all and give the directory its name; one that lies there already gives way."""
        size = sum(entry["bytes"] for entry in self._files.values())
        self.add_json(MANIFEST, {"schema_version": SCHEMA_VERSION, "files": dict(self._files)})
        manifest = self._files.pop(MANIFEST)
        _sync_directory(self._partial / "resume")
        _sync_directory(self._partial)
        try:
            self._partial.replace(self.path)
        except OSError as exc:
            if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            self._replace_older()
        _sync_directory(self.path.absolute().parent)
        return Written(manifest["sha256"], self._files[POLICY]["sha256"], size + manifest["bytes"])

    def discard(self) -> None:
        """Remove what was written so far."""
        shutil.rmtree(self._partial, ignore_errors=True)

    def _replace_older(self) -> None:
        """Take the place of a checkpoint of the same step: a restored run comes by there a second time."""
        older = self.path.with_name(self.path.name + ".older")
        shutil.rmtree(older, ignore_errors=True)
        self.path.replace(older)
        self._partial.replace(self.path)
        shutil.rmtree(older, ignore_errors=True)


def _write_text(file: DigestingFile, text: str) -> None:
    file.write(text.encode())


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
