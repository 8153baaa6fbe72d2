"""Snapshots that are written while the training goes on, with scripts whose state can be made slow to pickle."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from arena_ray.harness import capture
from arena_ray.harness.live import LiveMap
from arena_ray.harness.saving import Saving
from arena_ray.harness.snapshot import prepare
from arena_ray.harness.variables import Variables
from arena_ray.runner.checkpoint_files import verify_checkpoint

SCRIPT = """
    import atexit, gc, os, pathlib, random, signal, threading, time

    class Slow:
        # as long as there is a file "block", it is not pickled; says in which process it is
        def __reduce__(self):
            pathlib.Path("writer.new").write_text(str(os.getpid()))
            os.replace("writer.new", "writer")
            while pathlib.Path("block").exists():
                time.sleep(0.005)
            note(f"garbage is collected: {gc.isenabled()}")
            return Slow, ()

    def note(text):
        with open("notes", "a") as file:
            file.write(text + "\\n")

    random.seed(3)
    ballast = bytes(2 << 20)  # a small state would not be written by a process of its own
    slow = Slow()
    total = 0.0
    try:
        for step in range(400):
            total += random.random()
            {}.update()
        print("FINAL", step, total.hex())
    finally:
        note("finally")
"""
LEAVING = """
    atexit.register(lambda: note(f"exit of {os.getpid()}"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: note(f"signal in {os.getpid()}"))
"""


def held(train: Any, at: int = 0, source: str = SCRIPT) -> Any:
    trainer = train(source)
    trainer.wait_for("boundary", held=True)
    if at:
        trainer.hold_at(at)
    return trainer


def writer_of(directory: Path) -> int:
    """Wait until somebody has begun to pickle, and return who."""
    wait_until(lambda: (directory / "writer").exists())
    return int((directory / "writer").read_text())


def final(output: tuple[str, str]) -> str:
    return next(line for line in output[0].splitlines() if line.startswith("FINAL"))


def expected(train: Any) -> str:
    return final(held(train).finish())


def finish_from(train: Any, path: Path) -> str:
    again = train(SCRIPT)
    again.restore(path)
    return final(again.finish())


def test_training_goes_on_while_a_snapshot_is_written_and_the_snapshot_is_of_its_boundary(train, tmp_path) -> None:
    trainer = held(train, 50)
    (tmp_path / "block").touch()
    trainer.send("snapshot", path=str(tmp_path / "one"))
    assert trainer.hold_at(200)["step"] == 200
    assert writer_of(tmp_path) != trainer.process.pid
    assert not (tmp_path / "one").exists()
    (tmp_path / "block").unlink()
    saved = trainer.wait_for("snapshot_saved")
    assert (saved["boundary"], saved["step"], saved["skipped"]) == (50, 50, [])
    assert 0 < saved["stall_s"] < saved["seconds"]
    verify_checkpoint(tmp_path / "one", digest=saved["digest"])
    assert finish_from(train, tmp_path / "one") == final(trainer.finish()) == expected(train)


def test_killed_writer_is_reported_and_leaves_the_earlier_checkpoint(train, tmp_path) -> None:
    trainer = held(train, 10)
    first = trainer.snapshot(tmp_path / "one")
    trainer.hold_at(20)
    (tmp_path / "writer").unlink()
    (tmp_path / "block").touch()
    trainer.send("snapshot", path=str(tmp_path / "two"))
    os.kill(writer_of(tmp_path), signal.SIGKILL)
    failed = trainer.wait_for("snapshot_failed")
    assert (failed["boundary"], failed["reason"]) == (20, "the process that wrote it was killed by SIGKILL")
    assert failed["errno"] is not None, "it is the machine's fault, not the state's"
    assert [path.name for path in tmp_path.glob("two*")] == []
    verify_checkpoint(tmp_path / "one", digest=first["digest"])
    (tmp_path / "block").unlink()
    assert trainer.snapshot(tmp_path / "two")["boundary"] == 20
    assert final(trainer.finish()) == finish_from(train, tmp_path / "one")


def test_killed_training_leaves_the_earlier_checkpoint(train, tmp_path) -> None:
    trainer = held(train, 10)
    first = trainer.snapshot(tmp_path / "one")
    (tmp_path / "block").touch()
    trainer.hold_at(20)
    trainer.send("snapshot", path=str(tmp_path / "two"))
    trainer.hold_at(30)
    trainer.kill()
    (tmp_path / "block").unlink()
    assert not (tmp_path / "two").exists()
    verify_checkpoint(tmp_path / "one", digest=first["digest"])
    assert finish_from(train, tmp_path / "one") == expected(train)


def test_training_that_is_stopped_ends_once_its_last_checkpoint_is_complete(train, tmp_path) -> None:
    trainer = held(train, 10)
    (tmp_path / "block").touch()
    trainer.send("snapshot", path=str(tmp_path / "one"))
    trainer.send("stop")
    wait_until(lambda: (tmp_path / "notes").exists())  # its finally block has run
    (tmp_path / "block").unlink()
    trainer.wait_for("bye", outcome="stopped")
    trainer.outcome()
    assert trainer.process.returncode == 0
    told = [message["type"] for message in trainer.messages]
    assert told.index("snapshot_saved") < told.index("bye")


def test_second_snapshot_waits_for_the_first(train, tmp_path) -> None:
    trainer = held(train, 10)
    (tmp_path / "block").touch()
    trainer.send("snapshot", path=str(tmp_path / "one"))
    trainer.hold_at(20)
    trainer.send("snapshot", path=str(tmp_path / "two"))
    (tmp_path / "block").unlink()
    assert [trainer.wait_for("snapshot_saved")["boundary"] for _ in range(2)] == [10, 20]


def test_same_state_is_written_once_and_told_twice(train, tmp_path) -> None:
    trainer = held(train, 10)
    (tmp_path / "block").touch()
    trainer.send("snapshot", path=str(tmp_path / "one"))
    trainer.send("snapshot", path=str(tmp_path / "two"))
    (tmp_path / "block").unlink()
    first, second = (trainer.wait_for("snapshot_saved") for _ in range(2))
    assert first == second
    assert not (tmp_path / "two").exists()
    trainer.send("set", attributes={"slow": {"rate": 0.5}}, groups={})
    trainer.wait_for("set_failed")  # there is no such attribute: nothing has changed
    assert trainer.snapshot(tmp_path / "three")["path"] == str(tmp_path / "one")
    trainer.hold_at(11)
    assert trainer.snapshot(tmp_path / "four")["path"] == str(tmp_path / "four")


def test_state_is_written_anew_where_it_has_changed_or_its_checkpoint_is_gone(train, tmp_path) -> None:
    source = SCRIPT.replace("slow = Slow()", "slow = Slow(); slow.rate = 0.1")
    trainer = held(train, 10, source)
    trainer.snapshot(tmp_path / "one")
    trainer.send("set", attributes={"slow": {"rate": 0.5}}, groups={})
    trainer.wait_for("set_done")
    assert trainer.snapshot(tmp_path / "two")["path"] == str(tmp_path / "two")
    (tmp_path / "two" / "manifest.json").unlink()
    assert trainer.snapshot(tmp_path / "three")["path"] == str(tmp_path / "three")


def test_nothing_of_the_script_runs_in_the_writer_but_what_pickles_it(train, tmp_path) -> None:
    trainer = held(train, 10, SCRIPT.replace("    random.seed(3)", LEAVING + "    random.seed(3)"))
    (tmp_path / "block").touch()
    trainer.send("snapshot", path=str(tmp_path / "one"))
    writer = writer_of(tmp_path)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(writer, number)
    (tmp_path / "block").unlink()
    saved = trainer.wait_for("snapshot_saved")
    verify_checkpoint(tmp_path / "one", digest=saved["digest"])
    trainer.finish()
    ours = trainer.process.pid
    notes = (tmp_path / "notes").read_text().splitlines()
    assert notes == ["garbage is collected: False", "finally", f"exit of {ours}"]


@pytest.mark.parametrize(
    "line", ["import jax", "import numpy; shared = numpy.memmap('shared', shape=10, mode='w+')"], ids=["jax", "memmap"]
)
def test_process_that_must_not_fork_writes_on_a_thread(train, tmp_path, line: str) -> None:
    (tmp_path / "jax.py").touch()
    trainer = held(train, 50, SCRIPT.replace("import atexit", f"{line}\n    import atexit"))
    trainer.send("snapshot", path=str(tmp_path / "one"))
    trainer.hold_at(200)
    saved = next((m for m in trainer.messages if m["type"] == "snapshot_saved"), None)
    saved = saved or trainer.wait_for("snapshot_saved")
    assert writer_of(tmp_path) == trainer.process.pid
    assert saved["boundary"] == 50
    verify_checkpoint(tmp_path / "one", digest=saved["digest"])
    assert finish_from(train, tmp_path / "one") == final(trainer.finish()) == expected(train)


def test_small_state_is_pickled_at_once_when_it_is_known_to_be_small(train, tmp_path) -> None:
    trainer = held(train, 10, SCRIPT.replace("2 << 20", "2"))
    trainer.snapshot(tmp_path / "one")
    assert writer_of(tmp_path) != trainer.process.pid
    trainer.hold_at(20)
    saved = trainer.snapshot(tmp_path / "two")
    assert writer_of(tmp_path) == trainer.process.pid
    verify_checkpoint(tmp_path / "two", digest=saved["digest"])


def test_generator_of_the_process_is_not_seeded_anew_in_the_writer(train, tmp_path) -> None:
    source = """
        import random
        generator, same = random.random.__self__, None
        for step in range(9):
            if step == 5:
                same = generator.getstate() == random.getstate()
            {}.update()
        print("FINAL", same)
    """
    held(train, 5, source).snapshot(tmp_path / "one")
    again = train(source)
    again.restore(tmp_path / "one")
    assert final(again.finish()) == "FINAL True"


class Hanging:
    """Waits for ever for what only another process has."""

    def __init__(self) -> None:
        self.home = os.getpid()

    def __reduce__(self) -> Any:
        while os.getpid() != self.home:
            time.sleep(0.01)
        return Hanging, ()


def test_writer_that_hangs_is_given_up_and_none_is_forked_again(tmp_path) -> None:
    told: list[dict[str, Any]] = []
    saving = Saving(told.append, hung_after_s=0.2)

    def snapshot_to(path: Path) -> Any:
        variables = Variables(type("Frame", (), {"f_globals": {"hanging": Hanging()}})(), None)
        live_map = LiveMap(variables, script_dir=tmp_path, fixed=[])
        meta = {"step": 0, "boundary": 0}
        return prepare(capture.take(variables, live_map), meta, path=path, script=Path("script.py"))

    for name in ("one", "two"):
        place = {"boundary": 0, "step": 0, "last_step": 0, "ended": False, "generation": 0}
        saving.take(tmp_path / name, place, time.monotonic(), lambda name=name: snapshot_to(tmp_path / name))
        saving.wait()
    failed, saved = told
    assert failed["reason"] == "the process that wrote it stood still for 0.2 s and was ended"
    assert [path.name for path in tmp_path.iterdir()] == ["two"]
    verify_checkpoint(tmp_path / "two", digest=saved["digest"])


TORCH = """
    import sys
    import numpy as np, torch

    class ReplayBuffer:
        def __init__(self, size):
            self.rows = np.zeros((size, 8))
            self.at = 0
        def add(self, row):
            self.rows[self.at % len(self.rows)] = row
            self.at += 1

    torch.set_num_threads(4)
    torch.manual_seed(1)
    np.random.seed(1)
    net = torch.nn.Conv2d(64, 128, 5).to(memory_format=torch.channels_last)
    wide = torch.nn.Linear(600, 600)
    optimizer = torch.optim.Adam([*net.parameters(), *wide.parameters()])
    rb = ReplayBuffer(600_000)
    losses = []
    for step in range(24):
        for _ in range(50):
            rb.add(np.random.rand(8))
        loss = net(torch.rand(2, 64, 9, 9)).square().mean() + wide(torch.rand(300, 600)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    total = sum(float(p.double().sum()) for p in [*net.parameters(), *wide.parameters()])
    print("FINAL", total.hex(), rb.at, float(rb.rows.sum()).hex(), losses[-1].hex())
"""


def test_threads_of_torch_do_not_hang_the_writer_and_a_large_replay_buffer_is_shared(train, tmp_path) -> None:
    trainer = held(train, source=TORCH)
    saved = []
    for step in range(3, 21, 3):
        trainer.send("snapshot", path=str(tmp_path / "checkpoints" / "{step}"), replay_buffer="auto")
        trainer.send("grant", until_step=step)
        while not (trainer.messages[-1]["type"] == "boundary" and trainer.messages[-1]["step"] == step):
            trainer.next()
    output = trainer.finish()
    saved = [message for message in trainer.messages if message["type"] == "snapshot_saved"]
    assert len(saved) == 6
    for message in saved:
        verify_checkpoint(Path(message["path"]), digest=message["digest"])
    files = [path.stat() for path in (Path(saved[-1]["path"]) / "resume" / "chunks").iterdir()]
    assert sum(stat.st_nlink > 1 for stat in files) >= len(files) - 2
    again = train(TORCH)
    chosen = random.Random(5).choice(saved[2:])
    again.restore(Path(chosen["path"]))
    assert final(again.finish()) == final(output)


def test_replay_buffer_that_is_not_wanted_stays_as_the_new_process_makes_it(train, tmp_path) -> None:
    source = """
        import numpy as np
        replay_buffer, rows = np.zeros(100_000), 0
        for step in range(10):
            replay_buffer[step] = 1.0
            rows += 1
            {}.update()
        print("FINAL", rows, replay_buffer.sum())
    """
    trainer = held(train, 4, source)
    trainer.send("snapshot", path=str(tmp_path / "one"), replay_buffer="never")
    saved = trainer.wait_for("snapshot_saved")
    why = "a replay buffer; the experiment file says checkpoint.replay_buffer: never"
    assert saved["skipped"] == [{"name": "replay_buffer", "why": why}]
    assert saved["size_bytes"] < 100_000
    again = train(source)
    assert again.restore(tmp_path / "one")["skipped"] == saved["skipped"]
    assert final(again.finish()) == "FINAL 10 6.0"


@pytest.mark.slow
def test_snapshots_one_after_the_other_never_lose_the_state(train, tmp_path) -> None:
    wanted = expected(train)
    generator = random.Random(11)
    path: Path | None = None
    source = SCRIPT.replace("            {}.update()", "            {}.update(); time.sleep(0.002)")
    for life in range(8):
        trainer = train(source)
        if path is None:
            trainer.wait_for("boundary", held=True)
        else:
            trainer.restore(path)
        begin = trainer.messages[-1]["step"]
        kill_at = min(begin + generator.randrange(10, 50), 390)
        trainer.send("grant", until_step=kill_at)
        while trainer.messages[-1]["step"] < kill_at:
            trainer.send("snapshot", path=str(tmp_path / f"{life}-{{step}}"))
            path = Path(trainer.wait_for("snapshot_saved")["path"])
        trainer.send("snapshot", path=str(tmp_path / f"{life}-{{step}}"))
        trainer.kill()
    assert path is not None
    assert finish_from(train, path) == wanted
