import hashlib
import json

from arena_ray.harness.checkpoint import Writer

LOOP = """
import sys
data = bytes(int(sys.argv[1]))
if len(sys.argv) > 2:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for step in range(100):
    {}.update()
print("FINAL", step)
"""


def held(train, *args):
    trainer = train(LOOP, *args)
    trainer.wait_for("boundary", held=True)
    return trainer


def test_manifest_holds_digest_and_size_of_every_file(train, tmp_path):
    trainer = held(train, "1000")
    trainer.hold_at(42)
    trainer.send("snapshot", path=str(tmp_path / "run" / "{step}"))
    saved = trainer.wait_for("snapshot_saved")
    path = tmp_path / "run" / "000000000042"
    assert saved["path"] == str(path)
    manifest = json.loads((path / "manifest.json").read_text())
    files = {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    digests = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()}
    assert saved["digest"] == digests.pop("manifest.json")["sha256"]
    assert manifest == {"schema_version": 1, "files": digests}
    assert set(digests) == {"policy.safetensors", "policy.json", "resume/state.pkl", "resume/meta.json"}
    assert saved["policy_digest"] == digests["policy.safetensors"]["sha256"]
    assert saved["size_bytes"] == sum(map(len, files.values()))
    assert (saved["boundary"], saved["step"], saved["last_step"], saved["ended"]) == (42, 42, -1, False)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_checkpoint_of_the_same_step_takes_the_place_of_the_older_one(train, tmp_path):
    trainer = held(train, "10")
    first, second = (trainer.snapshot(tmp_path / "checkpoints" / "one") for _ in range(2))
    assert first["size_bytes"] == second["size_bytes"]
    assert [entry.name for entry in (tmp_path / "checkpoints").iterdir()] == ["one"]


def test_path_that_cannot_be_written_is_reported_and_training_goes_on(train, tmp_path):
    (tmp_path / "file").write_text("")
    trainer = held(train, "10")
    trainer.hold_at(5)
    trainer.send("snapshot", path=str(tmp_path / "file" / "checkpoint"))
    failed = trainer.wait_for("snapshot_failed")
    assert (failed["path"], failed["boundary"]) == (str(tmp_path / "file" / "checkpoint"), 5)
    assert "Not a directory" in failed["reason"]
    assert trainer.finish()[0] == "FINAL 99\n"


def test_full_disk_leaves_nothing_behind_and_training_goes_on(train, tmp_path):
    trainer = held(train, "200000", "limit")
    (tmp_path / "checkpoints").mkdir()
    trainer.send("snapshot", path=str(tmp_path / "checkpoints" / "one"))
    assert "File too large" in trainer.wait_for("snapshot_failed")["reason"]
    assert list((tmp_path / "checkpoints").iterdir()) == []
    assert trainer.finish()[0] == "FINAL 99\n"


def test_remains_of_a_killed_writer_are_swept(tmp_path):
    (tmp_path / "one.partial" / "resume").mkdir(parents=True)
    (tmp_path / "one.partial" / "left").write_text("over")
    writer = Writer(tmp_path / "one")
    writer.add_json("policy.safetensors", {})
    writer.finish()
    assert sorted(entry.name for entry in (tmp_path / "one").iterdir()) == [
        "manifest.json",
        "policy.safetensors",
        "resume",
    ]
