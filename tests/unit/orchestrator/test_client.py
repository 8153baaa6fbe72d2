"""The client against a real HTTP server that says what the test wrote down for it."""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from arena_ray.model.errors import ArenaError, ClusterUnavailable, IllegalTransition, NotFound, SpecError
from arena_ray.model.paths import Workspace
from arena_ray.model.states import RunState
from arena_ray.orchestrator.api import REQUEST_ID_HEADER, GatewayAddress, get_gateway, write_gateway
from arena_ray.orchestrator.client import ArenaClient

TOKEN = "s3cret"
Answer = tuple[int, Any]


def run_json(**changes: Any) -> dict[str, Any]:
    run = {
        "run_id": "0123456789ab",
        "name": "CartPole-v1__ppo__1__1700000000",
        "experiment_id": "e1",
        "experiment": "demo",
        "revision_id": "r1",
        "revision": 1,
        "runner": "cleanrl",
        "script": "ppo",
        "env_id": "CartPole-v1",
        "seed": 1,
        "state": "running",
        "episodic_return": None,
        "resources": {"cpu": 1, "gpu": 0, "memory_gib": 0},
        "created_at": "2025-01-01T00:00:00Z",
    }
    return run | changes


def error_json(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message}}


class Gateway:
    """Answers each request with the next of its answers; the last one stays."""

    def __init__(self, *, port: int = 0) -> None:
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                gateway.requests.append((self.command, self.path, dict(self.headers), body))
                status, reply = gateway.answers.pop(0) if len(gateway.answers) > 1 else gateway.answers[0]
                if status == 0:  # the gateway dies in the middle of its answer
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                content = reply.encode() if isinstance(reply, str) else json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815 - the name that http.server looks for

            def log_message(self, format: str, *args: Any) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    yield gateway
    gateway.close()


@pytest.fixture
def address(gateway: Gateway, tmp_path: Path) -> GatewayAddress:
    return address_of(gateway.url, tmp_path)


@pytest.fixture
def client(address: GatewayAddress) -> Iterator[ArenaClient]:
    with ArenaClient(address, timeout_s=5.0, retry_s=0.0) as client:
        yield client


def address_of(url: str, home: Path, *, token: str = TOKEN) -> GatewayAddress:
    return GatewayAddress(
        url=url, token=token, pid=os.getpid(), ray_address="", home=str(home), started_at=datetime.now(UTC)
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_run_is_read_with_null_as_nan(gateway: Gateway, client: ArenaClient) -> None:
    gateway.answers = [(200, run_json())]
    run = client.run("CartPole")
    assert run.state is RunState.RUNNING
    assert math.isnan(run.episodic_return)
    assert run.resources.cpu == 1


def test_every_request_carries_the_token(gateway: Gateway, client: ArenaClient) -> None:
    gateway.answers = [(200, [])]
    client.experiments()
    assert gateway.requests[0][2]["Authorization"] == f"Bearer {TOKEN}"


def test_the_token_is_not_in_what_is_printed_of_an_address(address: GatewayAddress) -> None:
    assert TOKEN not in repr(address)


@pytest.mark.parametrize(
    ("call", "method", "path"),
    [
        (lambda c: c.health(), "GET", "/api/v1/health"),
        (lambda c: c.cluster(), "GET", "/api/v1/cluster"),
        (lambda c: c.experiments(), "GET", "/api/v1/experiments"),
        (lambda c: c.experiment("demo"), "GET", "/api/v1/experiments/demo"),
        (lambda c: c.revision("r1"), "GET", "/api/v1/revisions/r1"),
        (lambda c: c.runs("demo", "failed"), "GET", "/api/v1/runs?experiment=demo&state=failed"),
        (lambda c: c.runs(state=RunState.PAUSED), "GET", "/api/v1/runs?state=paused"),
        (lambda c: c.run("a/../b"), "GET", "/api/v1/runs/a%2F..%2Fb"),
        (lambda c: c.attempts("a"), "GET", "/api/v1/runs/a/attempts"),
        (lambda c: c.checkpoints("a"), "GET", "/api/v1/runs/a/checkpoints"),
        (
            lambda c: c.metrics("a", tag="losses/value", last=3),
            "GET",
            "/api/v1/runs/a/metrics?tag=losses%2Fvalue&last=3",
        ),
        (lambda c: list(c.stream_log("a", after=7)), "GET", "/api/v1/runs/a/logs?after=7&limit=1000&wait_s=0.0"),
        (lambda c: c.stop_run("a"), "POST", "/api/v1/runs/a/stop"),
        (lambda c: c.pause_run("a"), "POST", "/api/v1/runs/a/pause"),
        (lambda c: c.resume_run("a"), "POST", "/api/v1/runs/a/resume"),
        (lambda c: c.start({"spec": {}}), "POST", "/api/v1/experiments"),
        (lambda c: c.executions("demo"), "GET", "/api/v1/experiments/demo/executions"),
        (lambda c: c.lineage("demo"), "GET", "/api/v1/experiments/demo/lineage"),
        (lambda c: c.lineage("demo", "x1"), "GET", "/api/v1/experiments/demo/lineage?execution=x1"),
        (lambda c: c.stop_experiment("demo"), "POST", "/api/v1/experiments/demo/stop"),
        (lambda c: c.pause_experiment("demo"), "POST", "/api/v1/experiments/demo/pause"),
        (lambda c: c.replay_schedule("a", seed=3), "POST", "/api/v1/runs/a/replay"),
        (lambda c: c.promote("a", name="best"), "POST", "/api/v1/runs/a/promote"),
        (lambda c: c.resume_experiment("demo"), "POST", "/api/v1/experiments/demo/resume"),
    ],
)
def test_each_method_asks_its_route(
    gateway: Gateway, client: ArenaClient, call: Callable[[ArenaClient], Any], method: str, path: str
) -> None:
    gateway.answers = [(404, error_json("NotFound", "nothing here"))]
    with pytest.raises(NotFound, match="nothing here"):
        call(client)
    assert gateway.requests[0][:2] == (method, path)


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "SpecError", SpecError),
        (404, "NotFound", NotFound),
        (409, "IllegalTransition", IllegalTransition),
        (500, "KeyError", ArenaError),
        (500, "nearest", ArenaError),
    ],
)
def test_an_error_of_the_gateway_comes_back_as_what_it_was(
    gateway: Gateway, client: ArenaClient, status: int, kind: str, expected: type[ArenaError]
) -> None:
    gateway.answers = [(status, error_json(kind, "line one\nline two"))]
    with pytest.raises(ArenaError, match="line one\nline two") as caught:
        client.run("x")
    assert type(caught.value) is expected


def test_an_answer_that_is_not_json_is_an_error_that_quotes_it(gateway: Gateway, client: ArenaClient) -> None:
    gateway.answers = [(500, "<html>gone wrong</html>")]
    with pytest.raises(ArenaError, match="answered 500: <html>gone wrong"):
        client.run("x")


def test_an_answer_of_another_shape_is_an_error_that_names_the_key(gateway: Gateway, client: ArenaClient) -> None:
    gateway.answers = [(200, run_json(state="dancing"))]
    with pytest.raises(ArenaError, match="state"):
        client.run("x")


def test_a_refused_token_is_told_as_another_cluster_in_the_way(gateway: Gateway, client: ArenaClient) -> None:
    gateway.answers = [(401, error_json("ArenaError", "wrong token"))]
    with pytest.raises(ClusterUnavailable, match="does not accept the token"):
        client.run("x")


def test_a_gateway_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    address = address_of(f"http://127.0.0.1:{free_port()}", tmp_path)
    with (
        ArenaClient(address, retry_s=0.0) as client,
        pytest.raises(ClusterUnavailable, match=r"does not answer.*arena up"),
    ):
        client.run("x")


def test_a_read_waits_for_a_gateway_that_is_starting_again(tmp_path: Path) -> None:
    port = free_port()
    started: list[Gateway] = []

    def come_back() -> None:
        time.sleep(0.5)
        gateway = Gateway(port=port)
        gateway.answers = [(200, [])]
        started.append(gateway)

    thread = threading.Thread(target=come_back)
    thread.start()
    with ArenaClient(address_of(f"http://127.0.0.1:{port}", tmp_path), retry_s=10.0) as client:
        assert client.runs() == []
    thread.join()
    started[0].close()


@pytest.mark.parametrize("away", [(503, "not yet"), (0, "")])
def test_a_read_is_repeated_while_the_gateway_is_away(gateway: Gateway, address: GatewayAddress, away: Answer) -> None:
    gateway.answers = [away, (200, [run_json()])]
    with ArenaClient(address, retry_s=10.0) as client:
        assert len(client.runs()) == 1
    assert len(gateway.requests) == 2


def test_a_restarted_gateway_is_found_at_its_new_address(gateway: Gateway, tmp_path: Path) -> None:
    gateway.answers = [(200, [])]
    write_gateway(Workspace(tmp_path).gateway, address_of(gateway.url, tmp_path))
    old = address_of(f"http://127.0.0.1:{free_port()}", tmp_path, token="old")
    with ArenaClient(old, retry_s=10.0) as client:
        assert client.runs() == []
    assert gateway.requests[0][2]["Authorization"] == f"Bearer {TOKEN}"


def test_a_repeated_start_carries_the_same_request_id(gateway: Gateway, address: GatewayAddress) -> None:
    gateway.answers = [(0, ""), (200, {"run": run_json(), "execution": None, "created": True})]
    with ArenaClient(address, retry_s=10.0) as client:
        assert client.start({"spec": {"seed": 1}}, force_new=True).created
        client.start({"spec": {"seed": 1}})
    ids = [headers[REQUEST_ID_HEADER] for _, _, headers, _ in gateway.requests]
    assert ids[0] == ids[1] != ids[2]
    assert gateway.requests[0][3] == {"submission": {"spec": {"seed": 1}}, "force_new": True}


def test_a_move_that_may_have_arrived_is_not_repeated(gateway: Gateway, address: GatewayAddress) -> None:
    gateway.answers = [(0, ""), (200, {"run": run_json(), "lost": None})]
    with ArenaClient(address, retry_s=10.0) as client, pytest.raises(ClusterUnavailable):
        client.resume_run("x")
    assert len(gateway.requests) == 1


def test_stop_now_says_so_and_returns_what_is_lost(gateway: Gateway, client: ArenaClient) -> None:
    gateway.answers = [(200, {"run": run_json(intent="stop_now"), "lost": "steps 10 to 20"})]
    assert client.stop_run("x", now=True).lost == "steps 10 to 20"
    assert gateway.requests[0][3] == {"now": True}


def test_stopping_an_experiment_now_says_so_and_returns_all_of_it(gateway: Gateway, client: ArenaClient) -> None:
    experiment = {"experiment_id": "e1", "name": "demo", "created_at": "2025-01-01T00:00:00Z"}
    gateway.answers = [(200, {"experiment": experiment, "execution": None, "runs": [run_json()]})]
    reply = client.stop_experiment("demo", now=True)
    assert (reply.experiment.name, reply.execution, len(reply.runs)) == ("demo", None, 1)
    assert gateway.requests[0][3] == {"now": True}


def line_json(seq: int) -> dict[str, Any]:
    return {"seq": seq, "attempt": 1, "stream": "stdout", "text": f"line {seq}", "wall_time": 0.0}


def test_a_log_is_read_page_by_page_to_its_end(gateway: Gateway, client: ArenaClient) -> None:
    gateway.answers = [
        (200, {"lines": [line_json(0), line_json(1)], "next_after": 2}),
        (200, {"lines": [], "next_after": 3}),  # a page of broken lines is not the end
        (200, {"lines": [line_json(3)], "next_after": 4}),
        (200, {"lines": [], "next_after": 4}),
    ]
    assert [line["text"] for line in client.stream_log("x")] == ["line 0", "line 1", "line 3"]


def test_following_a_log_ends_with_the_run_and_loses_no_line(gateway: Gateway, client: ArenaClient) -> None:
    gateway.answers = [
        (200, {"lines": [], "next_after": 0}),
        (200, run_json(state="running")),
        (200, {"lines": [line_json(0)], "next_after": 1}),
        (200, {"lines": [], "next_after": 1}),
        (200, run_json(state="completed")),
        (200, {"lines": [line_json(1)], "next_after": 2}),  # came after the empty page
        (200, {"lines": [], "next_after": 2}),
    ]
    assert [line["seq"] for line in client.stream_log("x", follow=True)] == [0, 1]
    waits = [path.rpartition("wait_s=")[2] for _, path, _, _ in gateway.requests if "wait_s" in path]
    assert waits[0] == "0.0"
    assert float(waits[1]) > 0


def test_the_address_file_is_for_its_owner_only_and_reads_back(address: GatewayAddress, tmp_path: Path) -> None:
    path = tmp_path / "var" / "training" / "gateway.json"
    write_gateway(path, address)
    assert get_gateway(path) == address
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["gateway.json"]


@pytest.mark.parametrize("content", [None, "", "{}", "nonsense"])
def test_an_address_file_that_cannot_be_used_is_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "gateway.json"
    if content is not None:
        path.write_text(content)
    assert get_gateway(path) is None
