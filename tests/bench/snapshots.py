"""How long a snapshot holds a training, and how long one that saves its state itself is held: torch.save, fsync."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from harness_kit import Trainer
from table import row

SNAPSHOTS = 20
STATES = {"250 KB": (0, "goal <= 0.020"), "40 MB": (625_000, "goal <= 0.060"), "200 MB": (3_125_000, "")}
"""Rows of the replay buffer, of 64 bytes each, beside a network of 250 KB with its optimizer."""

SCRIPT = """
import json, os, sys, time
import numpy as np, torch

rows, log = int(sys.argv[1]), sys.argv[2]
torch.manual_seed(1)
net = torch.nn.Sequential(torch.nn.Linear(8, 128), torch.nn.Tanh(), torch.nn.Linear(128, 128), torch.nn.Linear(128, 4))
optimizer = torch.optim.Adam(net.parameters())

class ReplayBuffer:
    def __init__(self, size):
        self.parts = {name: np.zeros((size, 2)) for name in ("observations", "next_observations", "actions", "rewards")}
        self.at = 0

    def add(self):
        for part in self.parts.values():
            part[self.at] = self.at
        self.at = (self.at + 1) % len(part)

rb = ReplayBuffer(max(rows, 100))
held, own = {}, []

def save():
    began = time.perf_counter()
    state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "rb": rb.parts, "at": rb.at}
    with open(log + ".pt.new", "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(log + ".pt.new", log + ".pt")
    own.append(time.perf_counter() - began)

step, last = 0, time.perf_counter()
try:
    while True:
        held[step] = time.perf_counter() - last
        rb.add()
        optimizer.zero_grad()
        net(torch.rand(64, 8)).square().mean().backward()
        optimizer.step()
        if os.path.exists(log + ".save"):
            os.remove(log + ".save")
            save()
        step += 1
        last = time.perf_counter()
finally:
    with open(log, "w") as file:
        json.dump({"held": held, "own": own}, file)
"""


def measure() -> None:
    for what, (rows, goal) in STATES.items():
        measure_state(what, rows, goal)
    measure_state("250 KB, no fork", 0, "", must_not_fork=True)
    measure_state("40 MB, no fork", STATES["40 MB"][0], "", must_not_fork=True)


def measure_state(what: str, rows: int, goal: str, *, must_not_fork: bool = False) -> None:
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        script, log = home / "script.py", home / "log"
        script.write_text("import jax\n" + SCRIPT if must_not_fork else SCRIPT)
        (home / "jax.py").touch()  # stands for one whose process must not be forked
        saved = take_snapshots(Trainer(script, str(rows), str(log)), home)
        seen = json.loads(log.read_text())
        sizes = [path.stat() for path in Path(saved[-1]["path"]).rglob("*") if path.is_file()]
        written = sum(size.st_size for size in sizes if size.st_nlink == 1) / 1e6
        ours = [seen["held"][str(message["step"])] for message in saved]
        row(f"{what}: held by a snapshot, s", ours, goal)
        row(f"{what}: held by torch.save and fsync, s", seen["own"])
        row(f"{what}: until the snapshot is complete, s", [message["seconds"] for message in saved])
        print(
            f"{what}: {saved[-1]['size_bytes'] / 1e6:.1f} MB, of the last one {written:.1f} MB written anew\n",
            flush=True,
        )


def take_snapshots(trainer: Trainer, home: Path) -> list[dict[str, Any]]:
    """Return what is told of each snapshot; after each of them the script saves its state itself."""
    saved = []
    try:
        trainer.wait_for("boundary", held=True)
        trainer.send("grant", until_step=None)
        for number in range(SNAPSHOTS):
            trainer.send("snapshot", path=str(home / "checkpoints" / str(number)))
            saved.append(trainer.wait_for("snapshot_saved"))
            (home / "log.save").touch()
            while (home / "log.save").exists():
                trainer.wait_for("boundary", held=False)
            trainer.wait_for("boundary", held=False)
        trainer.send("stop")
        trainer.wait_for("bye")
        trainer.outcome()
    finally:
        trainer.kill()
    return saved
