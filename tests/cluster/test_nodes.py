"""Several nodes: who gets which GPU, and what becomes of the runs on a node that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster_kit import Arena
from hurry import Hurry
from waiting import wait_until

from arena_ray.model.errors import InfeasibleResources, NotFound
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.model.settings import Settings
from arena_ray.orchestrator import local
from arena_ray.orchestrator.client import ArenaClient

KEEPER = Path(__file__).with_name("cluster_of_three.py")
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "10000",  # a node of a busy machine may be late; one that was killed refuses at once
    "RAY_health_check_failure_threshold": "3",
}
ONE_GPU = {"cpu": 0.5, "gpu": 1}
PASSES = 1_200


@dataclass
class Nodes:
    """Services attached to a cluster of a head and two worker nodes, two GPUs each."""

    arena: Arena
    raylets: dict[str, int]
    """Pid of each worker node's raylet, by the node's id."""

    def free_gpus(self) -> float:
        return sum(node.gpu_free for node in self.arena.client.cluster().nodes if node.is_alive)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    workspace = Workspace(tmp_path_factory.mktemp("nodes"))
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as directory,
    ):
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        with subprocess.Popen(
            [sys.executable, KEEPER, directory],
            cwd=workspace.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as keeper:
            known = json.loads(keeper.stdout.readline())
            settings = Settings(ray_address=known["address"], omp_num_threads=1)
            with ArenaClient(local.connect(settings, workspace, lambda _: None), retry_s=30.0) as client:
                yield Nodes(Arena(workspace, client), known["raylets"])
            keeper.stdin.close()
    assert Arena.processes_naming(str(workspace.home)) == []


def printed(arena: Arena, run: Run, word: str) -> list[str]:
    lines = arena.client.stream_log(run.run_id)
    return [line["text"] for line in lines if line["text"].startswith(word)]


def test_more_gpus_than_any_node_has_are_refused_with_what_there_is(nodes: Nodes) -> None:
    with pytest.raises(InfeasibleResources, match=r"gpu 3; the cluster has (node .*gpu [02].*){3}"):
        nodes.arena.start(experiment="too-large", resources={"cpu": 1, "gpu": 3})
    with pytest.raises(NotFound):
        nodes.arena.client.experiment("too-large")


def test_runs_spread_over_the_gpus_and_leave_a_node_that_dies(nodes: Nodes) -> None:
    arena = nodes.arena
    hurry = Hurry(arena.workspace.home)
    flags = hurry.flags(passes=PASSES)
    keys = {"experiment": "gpus", "flags": flags, "resources": ONE_GPU, "checkpoint": {"every_s": 0.3}}
    wait_until(lambda: nodes.free_gpus() == 4, what="free GPUs")
    started = [arena.start(seed=seed, **keys) for seed in range(4)]
    runs = [arena.wait_for_step(run, 3) for run in started]
    wait_until(lambda: nodes.free_gpus() == 0, what="GPUs that are all taken")
    for run in runs:
        wait_until(lambda run=run: printed(arena, run, "devices"), what=f"what {run.name} prints")
    placed = sorted((run.node, printed(arena, run, "devices")) for run in runs)
    assert placed == sorted((node, [f"devices '{gpu}' threads 1"]) for node in nodes.raylets for gpu in (0, 1))

    dying, staying = sorted(nodes.raylets)  # drivers prefer the first node that is not the head: this one's dies too
    for run in runs:
        if run.node == staying:
            arena.client.stop_run(run.run_id)
    wait_until(lambda: nodes.free_gpus() == 2, what="free GPUs")
    moving = [run for run in runs if run.node == dying]
    wait_until(lambda: all(arena.client.checkpoints(run.run_id) for run in moving), what="checkpoints")
    os.kill(nodes.raylets[dying], signal.SIGKILL)
    wait_until(lambda: all(arena.run(run).attempt == 2 for run in moving), what="attempts on the other node")
    hurry.now()  # not before: what is left on a node that died could end its run
    for run in moving:
        ended = arena.complete(run)
        assert (ended.node, ended.attempt) == (staying, 2)
        assert arena.client.attempts(run.run_id)[-1].resumed_from
        steps = [step for step, _, _ in arena.client.metrics(run.run_id, "losses/weight")[0].points]
        assert steps == list(range(PASSES))
    wait_until(lambda: nodes.free_gpus() == 2, what="free GPUs")
