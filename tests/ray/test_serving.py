"""Policies behind Ray Serve: deployed, asked, switched under load, and back by themselves whatever is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from cluster_kit import Arena
from waiting import wait_until

from arena_ray.cli.policies import settled
from arena_ray.model.errors import BadObservation, CheckpointCorrupt, NotFound
from arena_ray.model.records import Checkpoint, PolicyVersion, Run
from arena_ray.model.states import PolicyState
from arena_ray.serving.client import PolicyClient

pytestmark = pytest.mark.ray

RATE = 200
CLIENTS = 16
LEVEL = [0.0, 0.0, 0.0, 0.0]


@pytest.fixture(scope="module")
def trained(arena: Arena) -> Run:
    """A short run of ppo with several checkpoints, all of which can act."""
    keys = {
        "checkpoint": {"every_s": 0.5, "keep_latest": 4},
        "flags": {"total_timesteps": 6144},
        "resources": {"gpu": 0},
    }
    return arena.complete(arena.start("ppo", **keys))


@pytest.fixture(scope="module")
def checkpoints(arena: Arena, trained: Run) -> list[Checkpoint]:
    found = arena.client.checkpoints(trained.run_id)
    assert len(found) >= 2
    return found


def deploy(arena: Arena, source: str, name: str) -> PolicyVersion:
    return settled(arena.client, arena.client.deploy(source, name))


def client_of(arena: Arena, name: str, **options: float) -> PolicyClient:
    url = wait_until(lambda: arena.client.policy(name).url, what=f"an endpoint of {name}")
    return PolicyClient(url, **options)


@pytest.fixture(scope="module")
def served(arena: Arena, checkpoints: list[Checkpoint]) -> Iterator[str]:
    """A policy that answers, by name."""
    version = deploy(arena, checkpoints[0].checkpoint_id, "cartpole")
    assert (version.state, version.version) == (PolicyState.SERVING, 1), version.reason
    yield "cartpole"
    arena.client.undeploy("cartpole")


@dataclass
class Load:
    """Requests at a steady rate from several clients, whatever the answers take."""

    url: str
    sent: int = 0
    failures: list[str] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    slowest_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator[Load]:
        is_over = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(number, is_over)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            is_over.set()
            for thread in threads:
                thread.join()

    def _ask(self, number: int, is_over: threading.Event) -> None:
        interval = CLIENTS / RATE
        due = time.monotonic() + interval * number / CLIENTS
        with httpx.Client(trust_env=False, timeout=90.0) as http:
            while not is_over.wait(max(0.0, due - time.monotonic())):
                due += interval
                begun = time.monotonic()
                try:
                    reply = http.post(self.url + "/act", json={"observation": LEVEL})
                    outcome = (
                        reply.json()["version"] if reply.status_code == 200 else f"{reply.status_code}: {reply.text}"
                    )
                except httpx.HTTPError as exc:
                    outcome = repr(exc)
                with self._lock:
                    self.sent += 1
                    self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
                    (self.versions if isinstance(outcome, int) else self.failures).append(outcome)


def test_a_checkpoint_is_deployed_and_answers_over_http(
    arena: Arena, served: str, trained: Run, checkpoints: list[Checkpoint]
) -> None:
    policy = arena.client.policy(served)
    assert policy.version == 1
    assert policy.versions[0].checkpoint_id == checkpoints[0].checkpoint_id
    with client_of(arena, served) as client:
        assert client.act(LEVEL).action in (0, 1)
        batch = client.act([LEVEL, [0.0, 0.0, 0.2, 1.0]])
        assert len(batch.action) == 2
        assert batch.version == 1
        assert len(client.act([LEVEL] * 4000).action) == 4000  # too large to go along with the request
        described = client.describe()
    assert described["environment"]["env_id"] == "CartPole-v1"
    assert (described["name"], described["version"]) == (served, 1)


@pytest.mark.parametrize(
    ("observation", "got"),
    [
        ([0, 0, 0], "shape [3]"),
        ([[[0, 0, 0, 0]]], "shape [1, 1, 4]"),
        ([0, 0, 0, "a"], "text"),
        ([0, 0, 0, float("nan")], "NaN"),
    ],
)
def test_what_is_no_observation_is_refused_with_what_was_expected(
    arena: Arena, served: str, observation: list[object], got: str
) -> None:
    with client_of(arena, served) as client, pytest.raises(BadObservation) as refused:
        client.act(observation)
    assert refused.value.expected == "float32 of shape [4], or a batch of shape [n, 4]"
    assert refused.value.got == got


def test_no_request_fails_while_another_version_takes_over(
    arena: Arena, served: str, checkpoints: list[Checkpoint]
) -> None:
    before = arena.client.policy(served).version
    other = next(
        one for one in checkpoints if one.checkpoint_id != arena.client.policy(served).versions[0].checkpoint_id
    )
    load = Load(arena.client.policy(served).url)
    with load.running():
        wait_until(lambda: load.versions, what="an answer")
        version = deploy(arena, other.checkpoint_id, served)
        wait_until(lambda: version.version in load.versions or load.failures, what="an answer of the other version")
    assert load.failures == []
    assert set(load.versions) == {before, version.version}
    states = {one.version: one.state for one in arena.client.policy(served).versions}
    assert (states[before], states[version.version]) == (PolicyState.REPLACED, PolicyState.SERVING)


def test_a_version_that_does_not_act_leaves_the_one_before_answering(arena: Arena, served: str) -> None:
    before = arena.client.policy(served).version
    flags = {"total_timesteps": 200, "learning_starts": 20, "train_frequency": 1, "learning_rate": 1e30}
    diverged = arena.complete(arena.start("dqn", flags=flags, checkpoint={"every_s": 60}))
    version = deploy(arena, diverged.run_id, served)
    assert version.state is PolicyState.FAILED
    assert "its outputs are not finite" in version.reason
    with client_of(arena, served) as client:
        assert client.act(LEVEL).version == before == arena.client.policy(served).version


def test_a_checkpoint_that_was_altered_is_refused_and_the_one_before_goes_on_answering(
    arena: Arena, served: str, checkpoints: list[Checkpoint], tmp_path: Path
) -> None:
    before = arena.client.policy(served).version
    broken = checkpoints[-1]
    weights = Path(broken.uri) / "policy.safetensors"
    sound = weights.read_bytes()
    weights.write_bytes(sound[:-4] + b"\x00\x00\xc0\x7f")  # a NaN
    try:
        with pytest.raises(CheckpointCorrupt, match=r"policy\.safetensors was altered"):
            arena.client.deploy(broken.checkpoint_id, served)
    finally:
        weights.write_bytes(sound)
    newest = arena.client.policy(served).versions[0]
    assert newest.state is PolicyState.FAILED
    with client_of(arena, served) as client:
        assert client.act(LEVEL).version == before


def test_a_killed_replica_comes_back_with_the_same_version(arena: Arena, served: str) -> None:
    _survives(arena, served, "ServeReplica:policy-cartpole")


@pytest.mark.slow
@pytest.mark.parametrize("title", ["ServeController", "ProxyActor"])
def test_whatever_of_serve_is_killed_the_policy_answers_again(arena: Arena, served: str, title: str) -> None:
    _survives(arena, served, title)


@pytest.mark.slow
def test_an_orchestrator_that_is_killed_knows_its_policies_again(
    arena: Arena, served: str, checkpoints: list[Checkpoint]
) -> None:
    before = arena.client.policy(served).version
    arena.kill_services("OrchestratorActor")
    with client_of(arena, served) as client:
        assert client.act(LEVEL).version == before
    taken = arena.client.policy(served).versions[0].checkpoint_id
    other = next(one for one in checkpoints if one.checkpoint_id != taken)
    assert deploy(arena, other.checkpoint_id, served).state is PolicyState.SERVING


@pytest.mark.slow
def test_no_request_fails_over_many_switches(arena: Arena, served: str, checkpoints: list[Checkpoint]) -> None:
    load = Load(arena.client.policy(served).url)
    begun = time.monotonic()
    with load.running():
        for _ in range(3):
            for checkpoint in checkpoints[:2]:
                deploy(arena, checkpoint.checkpoint_id, served)
    rate = load.sent / (time.monotonic() - begun)
    print(f"{load.sent} requests, {rate:.0f}/s, slowest {load.slowest_s * 1e3:.0f} ms")
    assert load.failures == []
    assert len(set(load.versions)) >= 5


def _survives(arena: Arena, name: str, title: str) -> None:
    before = arena.client.policy(name).version
    arena.kill_services(title)
    with client_of(arena, name, retry_s=180.0) as client:
        assert client.act(LEVEL).version == before


def test_an_undeployed_policy_answers_no_more(arena: Arena, checkpoints: list[Checkpoint]) -> None:
    deploy(arena, checkpoints[0].checkpoint_id, "short-lived")
    url = arena.client.policy("short-lived").url
    arena.client.undeploy("short-lived")
    wait_until(lambda: httpx.get(url, trust_env=False, timeout=60.0).status_code == 404, what="the end of the endpoint")
    assert arena.client.policy("short-lived").versions[0].state is PolicyState.WITHDRAWN
    with pytest.raises(NotFound):
        arena.client.undeploy("short-lived")
