"""Large arrays of checkpoints: cut into chunks, shared with the checkpoint before, and put together again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from arena_ray.harness import capture, restore
from arena_ray.harness.checkpoint import Kept
from arena_ray.harness.large_arrays import CHUNK_BYTES, CHUNKS, LARGE_FROM_BYTES
from arena_ray.harness.live import LiveMap
from arena_ray.harness.snapshot import Snapshot, prepare
from arena_ray.harness.variables import Variables
from arena_ray.runner.checkpoint_files import remove_checkpoint_files, verify_checkpoint

ROWS = LARGE_FROM_BYTES // 8 + 1


def seen(names: dict[str, Any]) -> Variables:
    frame: Any = SimpleNamespace(f_globals=names, f_locals={})
    return Variables(frame, None)


def taken(path: Path, names: dict[str, Any], **options: Any) -> Snapshot:
    variables = seen(names)
    live_map = LiveMap(variables, script_dir=Path(__file__).parent, fixed=[])
    meta = {"step": 0, "boundary": 0}
    return prepare(capture.take(variables, live_map), meta, path=path, script=Path("script.py"), **options)


def write(path: Path, names: dict[str, Any], **options: Any) -> str:
    """Write a checkpoint and return its digest."""
    snapshot = taken(path, names, **options)
    return str(snapshot.write(snapshot.fill)["digest"])


def read(path: Path, names: dict[str, Any]) -> dict[str, Any]:
    """Return *names* as they are after a restore."""
    restore.restore(path, seen(names), advance=lambda: None)
    return names


def chunks(path: Path) -> dict[str, int]:
    """Return the inode of each chunk by its name."""
    return {chunk.name: chunk.stat().st_ino for chunk in (path / CHUNKS).iterdir()}


def test_large_arrays_and_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    column_major = np.asfortranarray(np.arange(2.0 * ROWS).reshape(2, ROWS))
    flat = torch.arange(float(2 * ROWS))
    named = {"buffer": np.arange(float(ROWS)), "moments": column_major, "flat": flat, "part": flat[3:].reshape(-1, 1)}
    digest = write(tmp_path / "one", named)
    verify_checkpoint(tmp_path / "one", digest=digest)
    found = read(tmp_path / "one", dict.fromkeys(named))
    assert np.array_equal(found["buffer"], named["buffer"])
    assert found["buffer"].flags.writeable
    assert found["buffer"].flags.owndata
    assert np.array_equal(found["moments"], column_major)
    assert found["moments"].flags.f_contiguous
    assert torch.equal(found["part"], named["part"])
    found["flat"][3] = -1.0
    assert found["part"][0, 0] == -1.0, "they shared their memory"


def test_only_what_has_changed_is_written_anew(tmp_path: Path) -> None:
    buffer = np.random.default_rng(1).random(ROWS)
    write(tmp_path / "one", {"buffer": buffer})
    buffer[CHUNK_BYTES // 8 * 2 + 5] = 0.0
    digest = write(tmp_path / "two", {"buffer": buffer}, previous=tmp_path / "one")
    first, second = chunks(tmp_path / "one"), chunks(tmp_path / "two")
    assert len(first.keys() - second.keys()) == len(second.keys() - first.keys()) == 1
    assert all(second[name] == first[name] for name in second.keys() & first.keys())
    remove_checkpoint_files(tmp_path / "one")
    verify_checkpoint(tmp_path / "two", digest=digest)
    assert np.array_equal(read(tmp_path / "two", {"buffer": None})["buffer"], buffer)


def test_a_cut_chunk_of_the_one_before_is_not_shared(tmp_path: Path) -> None:
    buffer = np.random.default_rng(1).random(ROWS)
    write(tmp_path / "one", {"buffer": buffer})
    cut = next((tmp_path / "one" / CHUNKS).iterdir())
    cut.write_bytes(cut.read_bytes()[:-1])
    digest = write(tmp_path / "two", {"buffer": buffer}, previous=tmp_path / "one")
    verify_checkpoint(tmp_path / "two", digest=digest)


def test_nothing_is_shared_with_a_checkpoint_that_is_gone(tmp_path: Path) -> None:
    buffer = np.random.default_rng(1).random(ROWS)
    digest = write(tmp_path / "two", {"buffer": buffer}, previous=tmp_path / "one")
    verify_checkpoint(tmp_path / "two", digest=digest)


def test_large_arrays_of_what_cannot_be_pickled_leave_nothing_behind(tmp_path: Path) -> None:
    broken = [np.random.default_rng(1).random(ROWS), (number for number in range(3))]
    kept = np.random.default_rng(2).random(ROWS)
    digest = write(tmp_path / "one", {"broken": broken, "kept": kept})
    verify_checkpoint(tmp_path / "one", digest=digest)
    assert len(chunks(tmp_path / "one")) == -(-kept.nbytes // CHUNK_BYTES)
    assert np.array_equal(read(tmp_path / "one", {"kept": None})["kept"], kept)


def test_what_was_kept_in_memory_is_what_would_have_been_written(tmp_path: Path) -> None:
    buffer = np.random.default_rng(1).random(ROWS)
    snapshot = taken(tmp_path / "one", {"buffer": buffer, "small": [1, 2]})
    kept = Kept()
    snapshot.fill(kept)
    expected = buffer.copy()
    buffer[:] = 0.0  # the training goes on
    digest = snapshot.write(kept.pour)["digest"]
    verify_checkpoint(tmp_path / "one", digest=str(digest))
    found = read(tmp_path / "one", {"buffer": None, "small": None})
    assert np.array_equal(found["buffer"], expected)
    assert found["small"] == [1, 2]


@pytest.mark.parametrize("value", [np.empty(ROWS, dtype=object), np.zeros((ROWS, 2))[:, 0]], ids=["objects", "gaps"])
def test_arrays_whose_memory_does_not_say_all_are_pickled(tmp_path: Path, value: np.ndarray) -> None:
    digest = write(tmp_path / "one", {"value": value})
    verify_checkpoint(tmp_path / "one", digest=digest)
    assert not (tmp_path / "one" / CHUNKS).exists()
    assert np.array_equal(read(tmp_path / "one", {"value": None})["value"], value)
