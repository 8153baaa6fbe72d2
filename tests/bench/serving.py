"""What a policy costs beyond Ray Serve itself: against a deployment that does nothing, through the same proxy."""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
from urllib.parse import urlsplit

from cluster_kit import Arena
from embedded import open_arena
from table import percentiles_row, ratios, row

from arena_ray.cli.policies import settled
from arena_ray.model.settings import Settings

ROUNDS = 5
REQUESTS = 200
CLIENTS = 16
THROUGHPUT_S = 4.0
BODY = json.dumps({"observation": [0.01, -0.02, 0.03, -0.04]})
HEADERS = {"Content-Type": "application/json"}
Times = list[float]


def measure() -> None:
    with open_arena(Settings(omp_num_threads=1)) as arena:
        policy, nothing = deploy_policy(arena), deploy_nothing(arena)
        for url in (policy, nothing):
            times_of(url)
        compare_latency(policy, nothing)
        compare_throughput(policy, nothing)
        time_switches(arena)


def deploy_policy(arena: Arena) -> str:
    keys = {"flags": {"total_timesteps": 4096}, "checkpoint": {"every_s": 0.5, "keep_latest": 4}}
    run = arena.complete(arena.start("ppo", **keys))
    version = settled(arena.client, arena.client.deploy(run.run_id, "measured", select="latest"))
    assert version.state == "serving", version.reason
    return arena.client.policy("measured").url + "/act"


def deploy_nothing(arena: Arena) -> str:
    """Start a deployment that answers at once, beside the policy, with the same options."""
    os.environ["RAY_AUTH_MODE"] = "token"
    import ray
    from ray import serve
    from starlette.responses import Response

    class Nothing:
        async def __call__(self, _: object) -> Response:
            return Response("{}", media_type="application/json")

    ray.init(address=arena.client.address.ray_address, log_to_driver=False, logging_level="error")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    deployment = serve.deployment(Nothing).options(max_ongoing_requests=256, ray_actor_options={"num_cpus": 0})
    serve.run(deployment.bind(), name="nothing", route_prefix="/nothing", logging_config={"log_level": "ERROR"})
    base = urlsplit(arena.client.policy("measured").url)
    return f"{base.scheme}://{base.netloc}/nothing"


class Connection:
    """One connection that is kept open."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._path = address.path
        self._http = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)

    def ask(self) -> None:
        self._http.request("POST", self._path, BODY, HEADERS)
        reply = self._http.getresponse()
        reply.read()
        assert reply.status == 200, reply.status


def times_of(url: str) -> Times:
    connection, times = Connection(url), []
    for _ in range(REQUESTS):
        begin = time.perf_counter()
        connection.ask()
        times.append((time.perf_counter() - begin) * 1e3)
    return times


def compare_latency(policy: str, nothing: str) -> None:
    pairs = [(times_of(policy), times_of(nothing)) for _ in range(ROUNDS)]
    percentiles_row("policy, one client, ms", [value for ours, _ in pairs for value in ours])
    percentiles_row("no-op, one client, ms", [value for _, theirs in pairs for value in theirs])
    medians = [[sorted(times)[REQUESTS // 2] for times in column] for column in zip(*pairs, strict=True)]
    row("p50, policy / no-op", ratios(*medians), "goal <= 1.5")


def rate_of(url: str) -> float:
    """Return the requests a second that CLIENTS get answered, each with a connection of its own."""
    counts, until = [0] * CLIENTS, time.perf_counter() + THROUGHPUT_S

    def ask(number: int) -> None:
        connection = Connection(url)
        while time.perf_counter() < until:
            connection.ask()
            counts[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / THROUGHPUT_S


def compare_throughput(policy: str, nothing: str) -> None:
    pairs = [(rate_of(policy), rate_of(nothing)) for _ in range(ROUNDS)]
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    row(f"policy, {CLIENTS} clients, requests/s", ours)
    row(f"no-op, {CLIENTS} clients, requests/s", theirs)
    row("requests/s, policy / no-op", ratios(ours, theirs), "goal >= 0.65")


def time_switches(arena: Arena) -> None:
    """Time from the order until the new version answers, of versions that are there already."""
    run_id = arena.client.policy("measured").versions[0].run_id
    checkpoints = arena.client.checkpoints(run_id)
    times = []
    for round_ in range(ROUNDS):
        checkpoint = checkpoints[(round_ + 1) % 2 if len(checkpoints) > 1 else 0]
        begin = time.perf_counter()
        settled(arena.client, arena.client.deploy(checkpoint.checkpoint_id, "measured"))
        times.append(time.perf_counter() - begin)
    row("another version answers, seconds", times)
