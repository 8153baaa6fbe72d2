"""Logging without torch: tensorboardX writers, whose import is quick."""

import math

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

LOOP = """
import numpy as np
from tensorboardX import SummaryWriter

writer = SummaryWriter("runs/mine")
other = SummaryWriter(log_dir="runs/other")
writer.add_text("hyperparameters", "|lr|0.1|")
for step in range(20):
    {}.update()
    writer.add_scalar("charts/return", np.array([step * 0.1]), step)
    writer.add_scalar("charts/nan", float("nan"), global_step=step)
    other.add_scalars("pair", {"a": step, "b": -step}, step)
    if step % 5 == 0:
        writer.add_text("note", f"at {step}", step)
writer.close()
print("FINAL", writer.logdir, other.logdir)
"""


def scalars(directory, tag):
    events = EventAccumulator(str(directory)).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_everything_logged_comes_up_in_order_with_exact_values(train, tmp_path):
    trainer = train(LOOP)
    trainer.wait_for("boundary", held=True)
    output, _ = trainer.finish()
    rows = trainer.rows()
    assert [row for row in rows if row[1] == "charts/return"] == [(n, "charts/return", n * 0.1) for n in range(20)]
    assert [value for _, tag, value in rows if tag == "charts/nan"] == ["NaN"] * 20
    assert [value for _, tag, value in rows if tag == "pair/b"] == [-n for n in range(20)]
    texts = [(m["step"], m["tag"], m["text"]) for m in trainer.messages if m["type"] == "text"]
    assert texts[:2] == [(0, "hyperparameters", "|lr|0.1|"), (0, "note", "at 0")]
    assert all(message["boundary"] == message["step"] for message in trainer.messages if message["type"] == "step")
    assert output == "FINAL runs/mine runs/other\n"
    assert len(scalars(tmp_path / "runs" / "mine", "charts/return")) == 20


def test_killed_and_resumed_script_shows_each_step_once(train, tmp_path):
    board = tmp_path / "board"
    trainer = train(LOOP, tensorboard=board)
    trainer.wait_for("boundary", held=True)
    trainer.hold_at(8)
    assert trainer.snapshot(tmp_path / "checkpoint")["last_step"] == 7
    trainer.hold_at(15)
    trainer.snapshot(tmp_path / "later")  # flushes the writers: what comes after the first checkpoint is on disk
    trainer.kill()
    again = train(LOOP, tensorboard=board)
    assert again.restore(tmp_path / "checkpoint")["last_step"] == 7
    output, _ = again.finish()
    assert output == f"FINAL {board} {board / '1'}\n"
    returns = scalars(board, "charts/return")
    assert [step for step, _ in returns] == list(range(20))
    assert all(math.isclose(value, step * 0.1, rel_tol=1e-6) for step, value in returns)
    texts = EventAccumulator(str(board)).Reload().Tensors("hyperparameters/text_summary")
    assert len(texts) == 1, "what is logged before the loop is not there twice"
    assert [row[0] for row in again.rows() if row[1] == "charts/return"] == list(range(8, 20))
