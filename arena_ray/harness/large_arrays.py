"""Large arrays of a checkpoint, in files of their own: what has not changed since the last one is linked, not written.

An array's memory is cut into chunks of one size, each a file named by its sha256. A replay buffer that is filled from
front to back, or round and round, changes in few of them between two checkpoints. ``resume/arrays.json`` lists the
chunks of each array in order; the pickles name an array by its place in that list.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

ARRAYS = "resume/arrays.json"
CHUNKS = "resume/chunks"
LARGE_FROM_BYTES = 32 << 20
CHUNK_BYTES = 4 << 20


def memory_at(address: int, size: int) -> memoryview:
    """Return the *size* bytes from *address* on, not copied. The caller keeps them alive."""
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


def memory_of(array: Any) -> Optional[memoryview]:
    """Return the memory of a large numpy array whose bytes say all; None for anything else."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or type(array) is not numpy.ndarray or array.nbytes < LARGE_FROM_BYTES or array.dtype.hasobject:
        return None
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        return None
    return memory_at(array.__array_interface__["data"][0], array.nbytes)


class ArrayFiles:
    """Writes the large arrays of the checkpoint that is made in the directory *root*.

    Args:
        root: The directory.
        previous: A checkpoint on the same disk whose chunks may be linked.
        on_progress: Called after each chunk.
    """

    def __init__(self, root: Path, previous: Optional[Path], on_progress: Callable[[], None]) -> None:
        self._directory = root / CHUNKS
        self._previous = None if previous is None else previous / CHUNKS
        self._on_progress = on_progress
        self._present: Dict[str, int] = {}
        self.listed: List[List[str]] = []

    def add(self, memory: memoryview) -> int:
        """Keep *memory* and return the number of the array.

        Raises:
            OSError: It cannot be written.
        """
        self._directory.mkdir(exist_ok=True)
        pieces = (memory[at : at + CHUNK_BYTES] for at in range(0, memory.nbytes, CHUNK_BYTES))
        self.listed.append([self._keep(piece) for piece in pieces])
        return len(self.listed) - 1

    def restart(self) -> None:
        """Forget the arrays that were added."""
        self.listed = []

    def finish(self) -> Dict[str, Dict[str, Any]]:
        """Remove what was forgotten; return the manifest's entry of each chunk."""
        used = {name for names in self.listed for name in names}
        for name in self._present.keys() - used:
            (self._directory / name).unlink()
        if self._present:
            sync_directory(self._directory)
        return {f"{CHUNKS}/{name}": {"sha256": name, "bytes": self._present[name]} for name in sorted(used)}

    def _keep(self, piece: memoryview) -> str:
        name = hashlib.sha256(piece).hexdigest()
        if name not in self._present:
            if not self._is_linked(name, piece.nbytes):
                with (self._directory / name).open("wb") as file:
                    file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
            self._present[name] = piece.nbytes
        self._on_progress()
        return name

    def _is_linked(self, name: str, size: int) -> bool:
        """Link the chunk of the checkpoint before, where that is still there and the disk knows links."""
        if self._previous is None:
            return False
        with contextlib.suppress(OSError):
            if (self._previous / name).stat().st_size == size:
                os.link(self._previous / name, self._directory / name)
                return True
        return False


class ArrayReader:
    """Reads the large arrays of the checkpoint at *path*. The caller has checked the digests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listed: Optional[List[List[str]]] = None

    def read(self, number: int, dtype: Any, shape: Any, order: str) -> Any:
        """Return the array of this *number* as numpy's; raises as :meth:`read_into`."""
        array = sys.modules["numpy"].empty(shape, dtype, order)
        self.read_into(number, memory_at(array.__array_interface__["data"][0], array.nbytes))
        return array

    def read_into(self, number: int, memory: memoryview) -> None:
        """Fill *memory* with the array of this *number*.

        Raises:
            OSError: A chunk cannot be read.
            EOFError: The chunks do not have as many bytes.
        """
        if self._listed is None:
            self._listed = json.loads((self._path / ARRAYS).read_text("utf-8"))
        at = 0
        for name in self._listed[number]:
            with (self._path / CHUNKS / name).open("rb") as file:
                at += file.readinto(memory[at : at + CHUNK_BYTES])
        if at != memory.nbytes:
            raise EOFError(f"a large array has {memory.nbytes} bytes, its chunks {at}")


def sync_directory(path: Path) -> None:
    """Make what was linked, renamed or made in the directory survive a crash of the machine."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
