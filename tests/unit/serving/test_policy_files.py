from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from arena_ray.model.errors import CheckpointCorrupt, PolicyUnusable
from arena_ray.model.records import Checkpoint
from arena_ray.serving.policy_files import read_checkpoint, read_deployed

MakeCheckpoint = Callable[..., Checkpoint]


class Bomb:
    """What runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.mark}",)


def test_what_was_written_is_what_was_read(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    files = read_checkpoint(make_checkpoint())
    target = tmp_path / "policies" / "x" / "1"
    files.write(target)
    assert sorted(path.name for path in target.parent.iterdir()) == ["1"]
    assert sorted(path.name for path in target.iterdir()) == ["policy.json", "policy.safetensors"]
    assert read_deployed(target, digest=files.digest()) == files


def test_a_second_write_takes_the_place_of_the_first(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    target = tmp_path / "policies" / "1"
    (target.with_name("1.partial") / "left").mkdir(parents=True)
    for _ in range(2):
        read_checkpoint(make_checkpoint()).write(target)
    assert sorted(path.name for path in target.parent.iterdir()) == ["1"]


@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors", "manifest.json"])
def test_a_file_that_was_altered_or_is_missing_is_refused_by_name(make_checkpoint: MakeCheckpoint, name: str) -> None:
    checkpoint = make_checkpoint()
    path = Path(checkpoint.uri) / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CheckpointCorrupt, match="its manifest is not" if name == "manifest.json" else f"{name} was"):
        read_checkpoint(checkpoint)
    path.unlink()
    with pytest.raises(CheckpointCorrupt, match=f"{name} is missing"):
        read_checkpoint(checkpoint)


def test_weights_that_the_registry_does_not_know_are_refused(make_checkpoint: MakeCheckpoint) -> None:
    with pytest.raises(CheckpointCorrupt, match="its weights are not those that were recorded"):
        read_checkpoint(make_checkpoint(policy_digest="0" * 64))


def test_deployed_files_that_were_altered_are_refused(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    files = read_checkpoint(make_checkpoint())
    files.write(tmp_path / "1")
    (tmp_path / "1" / "policy.json").write_text("{}")
    with pytest.raises(PolicyUnusable, match="not those that were deployed"):
        read_deployed(tmp_path / "1", digest=files.digest())
    with pytest.raises(PolicyUnusable, match="cannot be read"):
        read_deployed(tmp_path / "2", digest=files.digest())


def test_a_pickle_beside_the_policy_is_neither_read_nor_copied(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    checkpoint, mark = make_checkpoint(), tmp_path / "ran"
    (Path(checkpoint.uri) / "resume").mkdir()
    for name in ("resume/state.pkl", "policy.pt"):
        (Path(checkpoint.uri) / name).write_bytes(pickle.dumps(Bomb(mark)))
    read_checkpoint(checkpoint).write(tmp_path / "1")
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == ["policy.json", "policy.safetensors"]
    assert not mark.exists()
