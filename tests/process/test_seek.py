"""A script started with other flags is moved to where its run had come."""

from __future__ import annotations

import json
from pathlib import Path
from platform import python_version

PASSES = """
    import sys
    length, size = int(sys.argv[1]), int(sys.argv[2])
    rows = []
    def main():
        global_step = 0
        for iteration in range(1, length + 1):
            rows.append((iteration, global_step))
            global_step += size
            {}.update()
        print("FINAL", rows, global_step)
    main()
"""

STEPS = """
    rows = []
    for global_step in range(0, 80, 8):
        rows.append(global_step)
        {}.update()
    print("FINAL", rows)
"""


def checkpoint(path: Path, *, step: int, boundary: int, **changes: object) -> Path:
    """Return a checkpoint of which only the place is looked at."""
    (path / "resume").mkdir(parents=True)
    meta = {"schema_version": 1, "boundary": boundary, "step": step, "last_step": step, "ended": False, "generation": 2}
    (path / "resume/meta.json").write_text(json.dumps({**meta, "python": python_version(), **changes}))
    return path


def final(output):
    return [line for line in output[0].splitlines() if line.startswith("FINAL")]


def test_a_loop_in_passes_goes_on_there_and_is_restored_from_there(train, tmp_path):
    trainer = train(PASSES, "10", "8")
    trainer.send("seek", path=str(checkpoint(tmp_path / "at", boundary=2, step=32)), total_steps=80)
    trainer.wait_for("sought", boundary=2, step=32)
    trainer.wait_for("boundary", held=True, boundary=2, step=32, generation=2)
    assert trainer.hold_at(50)["boundary"] == 5
    assert trainer.snapshot(tmp_path / "own")["boundary"] == 5
    assert json.loads((tmp_path / "own/resume/meta.json").read_text())["passes"] == 7
    trainer.send("grant", until_step=None)
    trainer.wait_for("boundary", ended=True, held=True, boundary=8)
    trainer.snapshot(tmp_path / "end")
    trainer.send("grant", until_step=None)
    trainer.wait_for("bye", boundary=8)
    expected = [f"FINAL {[(number, 8 * (number - 1)) for number in range(5, 11)]} 80"]
    assert final(trainer.outcome()) == expected
    for name, place in (("own", 5), ("end", 8)):
        again = train(PASSES, "10", "8")
        assert again.restore(tmp_path / name)["boundary"] == place
        assert final(again.finish()) == expected


def test_a_loop_over_the_steps_holds_there_though_it_had_more_to_go(train, tmp_path):
    trainer = train(STEPS)
    trainer.send("grant", until_step=44)
    trainer.send("seek", path=str(checkpoint(tmp_path / "at", boundary=22, step=44)), total_steps=None)
    trainer.wait_for("sought", boundary=22, step=48)
    trainer.wait_for("boundary", held=True, boundary=22, step=48)
    assert final(trainer.finish()) == ["FINAL [48, 56, 64, 72]"]


def test_a_place_behind_the_loop_is_refused(train, tmp_path):
    trainer = train(STEPS)
    trainer.send("seek", path=str(checkpoint(tmp_path / "end", boundary=11, step=80, ended=True)), total_steps=None)
    error = trainer.wait_for("error")
    assert error["class"] == "SeekFailed"
    assert error["message"].endswith("the main loop was over there")
    _, printed = trainer.outcome()
    assert "Traceback" not in printed


def test_nothing_is_sought_later_than_at_the_first_boundary(train, tmp_path):
    trainer = train(STEPS)
    trainer.wait_for("boundary", held=True)
    trainer.hold_at(16)
    trainer.send("seek", path=str(checkpoint(tmp_path / "at", boundary=11, step=44)), total_steps=None)
    assert "only at the first boundary" in trainer.wait_for("error")["message"]
