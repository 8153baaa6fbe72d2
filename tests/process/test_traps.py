"""What scripts are like out there: every shape of loop, deaf to signals, noisy, with metrics of any kind."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from pathlib import Path

import pytest
from harness_kit import Trainer

from arena_ray.model.events import Batch, LogLine
from arena_ray.model.paths import Workspace
from arena_ray.model.states import Intent
from arena_ray.runner.attempt import Launch, Progress
from arena_ray.runner.outbox import Outbox
from arena_ray.runner.output import READ_BYTES
from arena_ray.runner.process import GuardedProcess

LEARNER = """
import functools, random

class Learner:
    def __init__(self):
        self.random, self.weight = random.Random(1), 0.0
    def update(self):
        self.weight = 0.9 * self.weight + self.random.random()

"""
SHAPES = {
    "for at module level": """
        learner = Learner()
        for global_step in range(40):
            learner.update()
        print("final", learner.weight)
    """,
    "while with a counter": """
        learner, global_step = Learner(), 0
        while global_step < 40:
            learner.update()
            global_step += 1
        print("final", learner.weight)
    """,
    "while that is left by a break": """
        learner, global_step = Learner(), 0
        while True:
            learner.update()
            global_step += 1
            if global_step == 40:
                break
        print("final", learner.weight)
    """,
    "in main()": """
        def main(total=40):
            learner = Learner()
            for global_step in range(total):
                learner.update()
            return learner.weight
        if __name__ == "__main__":
            print("final", main())
    """,
    "in a method": """
        class Trainer:
            def __init__(self):
                self.learner = Learner()
            def fit(self):
                for global_step in range(40):
                    self.learner.update()
        trainer = Trainer()
        trainer.fit()
        print("final", trainer.learner.weight)
    """,
    "in a function with a decorator": """
        def with_config(function):
            @functools.wraps(function)
            def wrapped():
                return function(40)
            return wrapped
        @with_config
        def train(total):
            learner = Learner()
            for global_step in range(total):
                learner.update()
            print("final", learner.weight)
        train()
    """,
    "after a shorter one": """
        learner = Learner()
        for offline_step in range(5):
            learner.update()
        for global_step in range(40):
            learner.update()
            loss = learner.weight
        print("final", learner.weight)
    """,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_the_shape_of_its_loop_a_killed_script_goes_on_as_if_nothing_had_happened(
    train, tmp_path: Path, shape: str
) -> None:
    source = LEARNER + textwrap.dedent(SHAPES[shape])
    undisturbed, _ = train(source).finish()
    killed = train(source)
    killed.wait_for("boundary", held=True)
    killed.hold_at(23)
    killed.snapshot(tmp_path / "checkpoint")
    killed.kill()
    resumed = train(source)
    restored = resumed.restore(tmp_path / "checkpoint")
    assert (restored["boundary"], restored["skipped"]) == (23, [])
    assert resumed.finish()[0] == undisturbed
    assert undisturbed.startswith("final ")


def test_metrics_of_any_kind_are_told_as_numbers(train) -> None:
    trainer: Trainer = train(
        """
        import math
        import numpy as np
        import torch
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter("runs/x")
        graph = (torch.ones(3, requires_grad=True) * 2).sum()
        values = [graph, torch.tensor([1.5], dtype=torch.bfloat16), np.array([15.0]), np.float32(2.5), np.int64(7),
                  True, math.nan, math.inf, np.array([-math.inf])]
        for step, value in enumerate(values):
            writer.add_scalar("losses/loss", value, step)
        graph.backward()
        for step in range(1):
            {}.update()
        """
    )
    trainer.wait_for("boundary", held=True)
    expected = [6.0, 1.5, 15.0, 2.5, 7.0, 1.0, "NaN", "Infinity", "-Infinity"]
    assert [value for _, _, value in trainer.rows()] == expected
    trainer.finish()


def test_a_training_that_is_deaf_to_signals_is_killed(tmp_path: Path) -> None:
    source = (
        "import signal, time\n"
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\n"
        "while True: time.sleep(1)"
    )
    files = {"stdout": tmp_path / "out", "stderr": tmp_path / "err"}
    process = GuardedProcess.start([sys.executable, "-c", source, "{fd}"], cwd=tmp_path, env=os.environ, **files)
    while not files["stdout"].read_text():
        assert process.poll() is None
        time.sleep(0.02)
    assert process.end(grace_s=0.2).signal == signal.SIGKILL


def test_a_flood_of_output_is_told_in_full_and_in_portions(tmp_path: Path) -> None:
    files = Workspace(tmp_path).run("a-run")
    files.attempt(1).mkdir(parents=True)
    lines = [f"{number} " + "x" * 90 for number in range(100_000)]
    files.output(1, "stdout").write_text("\n".join(lines))
    told: list[Batch] = []

    def report(batch: Batch) -> Intent:
        told.append(batch)
        return Intent.NONE

    launch = Launch("run", 1, command=[], env={}, files=files, snapshot_every_s=1.0, start_timeout_s=1.0)
    outbox = Outbox(launch, report=report, clock=lambda: 0.0)
    outbox.send(Progress(0, 0, 0.0))
    assert outbox.is_due, "the rest does not wait"
    outbox.send(Progress(0, 0, 0.0), is_last=True)
    outbox.close()
    events = [event for batch in told for event in batch.events if isinstance(event, LogLine)]
    assert [event.text for event in events] == lines
    assert max(sum(len(event.text) + 1 for event in batch.events) for batch in told) <= READ_BYTES + 200
    assert not outbox.is_due
