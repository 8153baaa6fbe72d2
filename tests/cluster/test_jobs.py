"""``ray job submit … -- arena run FILE`` on a cluster that somebody else started, with token authentication on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from cluster_kit import RAISED, SCRIPTS, Arena
from waiting import wait_until

from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.orchestrator.reader import RegistryReader

BIN = Path(sys.executable).parent
TOKEN = "a-token-of-this-test-and-of-nothing-else"
EXPERIMENT = """\
experiment: {name}
runner: cleanrl
script: counter.py
env_id: CartPole-v1
flags: {{total_timesteps: 50, raise_at: {raise_at}}}
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@dataclass
class Head:
    """The head of a Ray cluster, as its administrator started it."""

    url: str
    env: dict[str, str]
    directory: Path
    ray: Path

    @property
    def home(self) -> Workspace:
        """The workspace of jobs that name none: in the home directory of who started the cluster."""
        return Workspace(self.directory / "arena")

    def submit(self, *words: str, **runtime_env: Any) -> subprocess.CompletedProcess[str]:
        """Submit ``arena`` with *words* as a job, with the experiments' directory, and wait for its end."""
        options = ["--address", self.url, "--working-dir", str(self.directory / "work")]
        options += ["--runtime-env-json", json.dumps(runtime_env)] if runtime_env else []
        command = [BIN / "ray", "job", "submit", *options, "--", "arena", *words]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=300, check=False)

    def run_of(self, experiment: str) -> Run:
        with RegistryReader(self.home) as reader:
            [run] = reader.runs(experiment=experiment)
        return run

    def orchestrator(self) -> str:
        """Return the pid of the orchestrator's process; there is but one. Its title tells what it is at, too."""
        processes = Arena.processes_naming(str(self.ray))
        [orchestrator] = [line for line in processes if "ray::OrchestratorActor" in line]
        return orchestrator.partition(":")[0]


def prepare(directory: Path, ray: Path) -> dict[str, str]:
    """Write what the jobs need and return the environment of all that takes part."""
    work = directory / "work"
    work.mkdir()
    shutil.copy(SCRIPTS / "counter.py", work)
    for name, raise_at in (("sound", -1), ("raising", 7)):
        (work / f"{name}.yaml").write_text(EXPERIMENT.format(name=name, raise_at=raise_at))
    (directory / "token").write_text(TOKEN)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "ARENA_"))}
    own = {
        "HOME": directory,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": directory / "token",
        "RAY_TMPDIR": ray,
    }
    return kept | {key: str(value) for key, value in own.items()}


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    directory = tmp_path_factory.mktemp("jobs")
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as ray:
        env = prepare(directory, Path(ray))
        gcs, dashboard, client, agent = free_ports(4)
        ports = {"port": gcs, "dashboard-port": dashboard, "ray-client-server-port": client}
        options = [f"--{name}={port}" for name, port in {**ports, "dashboard-agent-listen-port": agent}.items()]
        options += ["--node-ip-address=127.0.0.2", "--num-cpus=2", "--num-gpus=0", "--disable-usage-stats"]
        with (directory / "head.log").open("w") as log:
            process = subprocess.Popen(
                [BIN / "ray", "start", "--head", "--block", "--include-dashboard=true", *options],
                cwd=ray,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        head = Head(f"http://127.0.0.1:{dashboard}", env, directory, Path(ray))
        try:
            wait_until(lambda: answers(head.url, process), what="a dashboard")
            yield head
        finally:
            # Its processes wait for each other, for a minute, when the head ends: end all of them at once.
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                one.kill()
            process.wait()
            wait_until(lambda: not Arena.processes_naming(ray), what="the end of Ray's processes")


def answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the head has ended"
    try:
        reply = httpx.get(f"{url}/api/version", headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)
    except httpx.TransportError:
        return False
    return reply.status_code == 200


@pytest.fixture(scope="module")
def completed(head: Head) -> subprocess.CompletedProcess[str]:
    """The first job of the cluster, which starts our services there."""
    return head.submit("run", "sound.yaml")


def test_a_job_succeeds_and_what_it_keeps_outlasts_it(head: Head, completed: subprocess.CompletedProcess[str]) -> None:
    assert completed.returncode == 0, completed.stdout + completed.stderr
    run = head.run_of("sound")
    assert run.state == "completed"
    assert run.name in completed.stdout
    assert head.home.run(run.name).tensorboard.is_dir()


@pytest.mark.usefixtures("completed")
def test_a_job_whose_script_raises_fails_under_the_same_orchestrator(head: Head) -> None:
    before = head.orchestrator()
    failed = head.submit("run", "raising.yaml", env_vars={"ARENA_HOME": str(head.home.home)})
    assert failed.returncode != 0
    assert RAISED in failed.stdout
    assert head.run_of("raising").state == "failed"
    assert head.orchestrator() == before
