"""Boundaries, commands and resume, with scripts that need nothing but the standard library."""

import json

import pytest

LOOP = """
    import random, sys, time

    class Counter:
        def __init__(self):
            self.total = 0
            self.log = []
            self.best = None
        def step(self, value):
            self.total += value
            self.log.append(value)

    random.seed(7)
    counter = Counter()
    alias = counter.log
    same = [alias, alias]
    start_time = time.time()
    bar = enumerate(range(100, 130))
    for t, value in bar:
        counter.step(random.random() * value)
        last = t
    print("elapsed", round(time.time() - start_time), "alias", alias is counter.log, same[0] is same[1] is alias)
    print("FINAL", t, value, last, counter.total.hex(), len(alias))
"""

FUNCTION = """
    import random

    done = 0

    class Trainer:
        def __init__(self, seed):
            self.random = random.Random(seed)
            self.values = {}
        def train(self, batch):
            self.values[batch] = self.random.random()
            return self.values

    def main(seed, *, scale=2):
        global done
        trainer = Trainer(seed)
        batch, sums, handlers = 0, [], []
        shown = lambda: (batch, len(sums))
        while batch < 25:
            view = trainer.train(batch)
            sums.append(sum(view.values()) * scale)
            scale = scale * 1.01
            batch += 1
            done += 1
        else:
            sums.append("whole")
        print("FINAL", batch, done, scale.hex(), sums, shown(), view is trainer.values)

    main(3)
"""


def final(output):
    return next(line for line in output[0].splitlines() if line.startswith("FINAL"))


def uninterrupted(train, source):
    trainer = train(source)
    trainer.wait_for("boundary", held=True)
    return trainer.finish()


def resumed(train, source, path, at):
    """Run *source* up to step *at*, checkpoint it, kill it, and finish it in a new process."""
    trainer = train(source)
    trainer.wait_for("boundary", held=True)
    trainer.hold_at(at)
    saved = trainer.snapshot(path)
    trainer.send("grant", until_step=at + 5)  # it goes on for a while, so that a restore has something to undo
    trainer.wait_for("boundary", held=True)
    trainer.kill()
    again = train(source)
    restored = again.restore(path)
    assert restored["boundary"] == saved["boundary"]
    assert again.wait_for("boundary", held=True)["boundary"] == saved["boundary"]
    return again.finish()


@pytest.mark.parametrize("at", [0, 1, 17])
def test_killed_script_goes_on_as_if_nothing_had_happened(train, tmp_path, at):
    output = resumed(train, LOOP, tmp_path / "checkpoint", at)
    assert final(output) == final(uninterrupted(train, LOOP))
    assert "alias True True" in output[0]


def test_variables_of_a_function_are_restored(train, tmp_path):
    # this loop has none of the usual names of a step, so the boundary counts
    output = resumed(train, FUNCTION, tmp_path / "checkpoint", 11)
    assert final(output) == final(uninterrupted(train, FUNCTION))


@pytest.mark.parametrize("source", [LOOP, FUNCTION, FUNCTION.replace("batch < 25", "True").replace(
    "done += 1", "done += 1\n            if done == 25: break")], ids=["for", "while", "break"])  # fmt: skip
def test_checkpoint_written_after_the_loop_skips_the_loop(train, tmp_path, source):
    trainer = train(source)
    trainer.wait_for("boundary", held=True)
    trainer.send("grant", until_step=None)
    ended = trainer.wait_for("boundary", ended=True)
    saved = trainer.snapshot(tmp_path / "checkpoint")
    assert (saved["ended"], saved["boundary"]) == (True, ended["boundary"])
    trainer.send("grant", until_step=None)
    expected = trainer.outcome()
    again = train(source)
    assert again.restore(tmp_path / "checkpoint")["ended"]
    output = again.finish()
    assert final(output) == final(expected)
    assert [message["boundary"] for message in again.messages if message["type"] == "boundary"][-1] == saved["boundary"]


def test_script_holds_first_at_its_grant_and_at_its_end(train):
    trainer = train(LOOP)
    hello = trainer.next()
    assert (hello["type"], hello["schema_version"], hello["main_loop"]["scope"]) == ("hello", 1, "<module>")
    assert trainer.wait_for("boundary", held=True)["boundary"] == 0
    assert trainer.hold_at(12)["step"] == 12
    assert trainer.hold_at(5)["step"] == 12, "a grant that is over already is answered"
    trainer.send("grant", until_step=None)
    ended = trainer.wait_for("boundary", held=True)
    assert (ended["ended"], ended["boundary"], ended["step"]) == (True, 30, 29)
    trainer.send("grant", until_step=None)
    bye = trainer.wait_for("bye")
    assert (bye["outcome"], bye["boundary"], bye["step"]) == ("completed", 30, 29)
    trainer.outcome()
    assert trainer.process.returncode == 0


def test_hold_keeps_the_script_at_its_boundary_and_boundaries_come_now_and_then(train):
    trainer = train(
        "import time\nt = 0\nwhile True:\n    t += 1\n    time.sleep(0.001)\n    [].extend(()) or {}.update()\n"
    )
    trainer.wait_for("boundary", held=True)
    trainer.send("grant", until_step=None)
    first, second = (trainer.wait_for("boundary", held=False) for _ in range(2))
    assert second["wall_time"] - first["wall_time"] > 0.15
    trainer.send("hold")
    held = trainer.wait_for("boundary", held=True)
    trainer.socket.settimeout(0.4)
    with pytest.raises(TimeoutError):
        trainer.next()
    assert held["step"] > second["step"]


def test_stop_runs_the_finally_blocks(train, tmp_path):
    trainer = train(
        """
        import pathlib
        try:
            for step in range(10 ** 9):
                try:
                    {}.update()
                except Exception:
                    print("swallowed")
        finally:
            pathlib.Path("finally").write_text("ran")
        """
    )
    trainer.wait_for("boundary", held=True)
    trainer.hold_at(1000)
    trainer.send("stop")
    assert trainer.wait_for("bye")["outcome"] == "stopped"
    trainer.outcome()
    assert trainer.process.returncode == 0
    assert (tmp_path / "finally").read_text() == "ran"


def test_restore_is_refused_after_the_first_boundary(train, tmp_path):
    trainer = train(LOOP)
    trainer.wait_for("boundary", held=True)
    trainer.hold_at(3)
    trainer.snapshot(tmp_path / "checkpoint")
    trainer.send("restore", path=str(tmp_path / "checkpoint"))
    error = trainer.wait_for("error")
    assert error["class"] == "RestoreFailed"
    assert "only at the first boundary" in error["message"]
    trainer.outcome()
    assert trainer.process.returncode == 3


def test_restore_into_a_shorter_loop_is_an_error(train, tmp_path):
    trainer = train(LOOP)
    trainer.wait_for("boundary", held=True)
    trainer.hold_at(20)
    trainer.snapshot(tmp_path / "checkpoint")
    shorter = train(LOOP.replace("130", "110"))
    shorter.wait_for("boundary", held=True)
    shorter.send("restore", path=str(tmp_path / "checkpoint"))
    assert "has only 10 passes" in shorter.wait_for("error")["message"]


def test_start_time_moves_by_the_time_that_passed(train, tmp_path):
    trainer = train(LOOP)
    trainer.wait_for("boundary", held=True)
    trainer.hold_at(3)
    trainer.snapshot(tmp_path / "checkpoint")
    trainer.kill()
    an_hour_later = train(LOOP.replace("random.seed(7)", "clock = time.time; time.time = lambda: clock() + 3600"))
    an_hour_later.restore(tmp_path / "checkpoint")
    [line] = [line for line in an_hour_later.finish()[0].splitlines() if line.startswith("elapsed")]
    assert float(line.split()[1]) < 1800


def test_unpicklable_variable_is_named_and_the_rest_is_kept(train, tmp_path):
    source = LOOP.replace(
        "counter = Counter()", "import threading; counter = Counter(); counter.lock = lock = threading.Lock()"
    )
    trainer = train(source)
    trainer.wait_for("boundary", held=True)
    trainer.hold_at(9)
    saved = trainer.snapshot(tmp_path / "checkpoint")
    assert sorted(item["name"] for item in saved["skipped"]) == ["counter.lock", "lock"]
    assert all("cannot pickle" in item["why"] for item in saved["skipped"])
    meta = json.loads((tmp_path / "checkpoint/resume/meta.json").read_text())
    assert meta["skipped"] == saved["skipped"]
    again = train(source)
    assert again.restore(tmp_path / "checkpoint")["skipped"] == saved["skipped"]
    assert final(again.finish()) == final(uninterrupted(train, LOOP))


def test_variable_of_an_enclosing_function_is_reported(train, tmp_path):
    trainer = train(
        """
        def main():
            scores, rate = [], 0.5
            def train_all():
                for step in range(9):
                    {}.update()
                    scores.append(rate)
            train_all()
        main()
        """
    )
    trainer.wait_for("boundary", held=True)
    skipped = trainer.snapshot(tmp_path / "checkpoint")["skipped"]
    assert skipped == [{"name": "scores", "why": "it belongs to an enclosing function"}]


def test_object_that_forgets_its_state_when_pickled_is_reported(train, tmp_path):
    trainer = train(
        """
        class EzPickle:
            def __getstate__(self):
                return {"arguments": ()}
        class Lander(EzPickle):
            pass
        worlds = [Lander()]
        for step in range(9):
            {}.update()
        """
    )
    trainer.wait_for("boundary", held=True)
    (skipped,) = trainer.snapshot(tmp_path / "checkpoint")["skipped"]
    assert skipped["name"] == "worlds"
    assert "Lander keeps only its constructor arguments" in skipped["why"]


def test_second_entry_into_the_main_loop_cannot_be_checkpointed(train, tmp_path):
    trainer = train(
        """
        def epoch():
            for step in range(3):
                {}.update()
        epoch()
        epoch()
        """
    )
    trainer.wait_for("boundary", held=True)
    trainer.send("grant", until_step=None)
    trainer.wait_for("boundary", ended=True)
    trainer.send("grant", until_step=0)
    trainer.send("grant", until_step=None)
    trainer.wait_for("boundary", ended=True, boundary=6)
    trainer.send("snapshot", path=str(tmp_path / "checkpoint"))
    assert "a second time" in trainer.wait_for("snapshot_failed")["reason"]


def test_object_that_is_iterated_is_advanced_and_not_reported(train, tmp_path):
    source = """
    def numbers():
        for n in range(20):
            yield n * n
    stream = numbers()
    seen = []
    for t, value in zip(range(50), stream):
        seen.append(value)
        {}.update()
    print("FINAL", seen)
    """
    output = resumed(train, source, tmp_path / "checkpoint", 6)
    assert final(output) == f"FINAL {[n * n for n in range(20)]}"
