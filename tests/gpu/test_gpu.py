"""What only a GPU can show: resume on CUDA, a warm fork that uses it, runs that share one. See ``make gpu-check``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from cluster_kit import Arena
from harness_kit import HARNESS, Trainer
from resume_state import differences
from waiting import wait_until

from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings
from arena_ray.model.states import RunState
from arena_ray.orchestrator import local
from arena_ray.orchestrator.client import ArenaClient
from arena_ray.runner.process import GuardedProcess
from arena_ray.runner.warm_pool import WarmPool

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="not run: torch finds no GPU on this machine")

SCRIPT = """
import os, random
import numpy, torch

os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
torch.use_deterministic_algorithms(True)
random.seed(1), numpy.random.seed(1), torch.manual_seed(1)
device = torch.device("cuda")
net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1)).to(device)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for global_step in range(60):
    batch = torch.randn(32, 8, device=device)
    loss = (net(batch) - batch.sum(1, keepdim=True)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("final", sum(float(parameter.double().sum()) for parameter in net.parameters()))
"""


def train_until(trainer: Trainer, step: int) -> None:
    trainer.send("grant", until_step=step)
    trainer.wait_for("boundary", held=True, step=step)


def test_a_training_on_cuda_goes_on_bit_for_bit(train, tmp_path: Path) -> None:
    undisturbed, killed = train(SCRIPT), train(SCRIPT)
    for trainer, step, name in ((undisturbed, 50, "expected"), (killed, 23, "checkpoint")):
        trainer.wait_for("boundary", held=True)
        train_until(trainer, step)
        trainer.snapshot(tmp_path / name)
    killed.kill()
    resumed = train(SCRIPT)
    assert resumed.restore(tmp_path / "checkpoint")["skipped"] == []
    train_until(resumed, 50)
    resumed.snapshot(tmp_path / "resumed")
    assert differences(tmp_path / "resumed", tmp_path / "expected") == []
    assert resumed.finish() == undisturbed.finish()


def test_a_forked_training_uses_the_gpu(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    pool = WarmPool(owner=os.getpid(), directory=tmp_path / "pool")
    command = [sys.executable, "-u", str(HARNESS), "--fd", "{fd}", "--attempt", "1", "--", str(script)]
    printed = []
    for number in range(2):
        files = {"stdout": tmp_path / f"out-{number}", "stderr": tmp_path / f"err-{number}"}
        process = GuardedProcess.start(
            command, cwd=tmp_path, env=os.environ, **files, starter=partial(pool.start, modules=("torch",))
        )
        while (message := process.wire.receive(120.0)) is not None and message["type"] != "bye":
            if message.get("held"):
                process.wire.send("grant", until_step=None)
        how = process.wait(60.0)
        process.close()
        assert how is not None
        assert how.exit_code == 0, files["stderr"].read_text()
        printed.append(files["stdout"].read_text())
    assert printed[0] == printed[1] != ""


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Arena]:
    workspace = Workspace(tmp_path)
    settings = Settings(ray_num_cpus=4, omp_num_threads=1)
    with (
        local.start(workspace, settings, keep=False, on_progress=lambda _: None) as cluster,
        ArenaClient(cluster.address, retry_s=30.0) as client,
    ):
        yield Arena(workspace, client)


def test_two_runs_share_a_gpu(arena: Arena) -> None:
    keys = {"flags": {"total_timesteps": 100_000}, "resources": {"cpu": 1, "gpu": 0.5}}
    runs = [arena.start(seed=seed, **keys) for seed in (1, 2)]
    for run in runs:
        arena.wait_for_step(run, 20)
    told = [line["text"] for run in runs for line in arena.client.stream_log(run.run_id, follow=False)]
    devices = {text.split()[1] for text in told if text.startswith("devices")}
    assert len(devices) == 1
    for run in runs:
        arena.client.stop_run(run.run_id)
        arena.wait_for(run, RunState.STOPPED)
    wait_until(lambda: sum(node.gpu_free for node in arena.client.cluster().nodes) >= 1, what="a free GPU")
