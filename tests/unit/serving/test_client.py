"""The client of an endpoint, against a server that answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from arena_ray.model.errors import ArenaError, BadObservation, EndpointUnavailable
from arena_ray.serving.client import Answer, PolicyClient


class Server:
    """Gives prepared answers, one after the other, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.seen: list[tuple[str, str | None, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.seen.append((self.path, self.headers.get("Authorization"), body))
                status, content = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _answer  # noqa: N815 - names of http.server

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/policies/x"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def test_it_asks_with_the_token_and_reads_the_answer(server: Server) -> None:
    server.answers = [(200, b'{"action": 1, "version": 3}')]
    with PolicyClient(server.url, token="secret") as client:
        assert client.act([0.0]) == Answer(action=1, version=3)
    assert server.seen == [("/policies/x/act", "Bearer secret", b'{"observation": [0.0]}')]


def test_while_the_endpoint_is_away_it_asks_again(server: Server) -> None:
    server.answers = [(500, b""), (503, b""), (200, b'{"action": 0, "version": 1}')]
    with PolicyClient(server.url) as client:
        assert client.act([0.0]).action == 0
    assert len(server.seen) == 3


def test_one_that_stays_away_is_an_error_that_says_where_to_look(server: Server) -> None:
    server.answers = [(503, b"")]
    with (
        PolicyClient(server.url, retry_s=0.0) as client,
        pytest.raises(EndpointUnavailable, match=r"it answered 503.*see 'arena policies'"),
    ):
        client.act([0.0])
    with (
        PolicyClient("http://127.0.0.1:9/policies/x", retry_s=0.0) as client,
        pytest.raises(EndpointUnavailable, match="does not answer"),
    ):
        client.describe()


def test_what_the_endpoint_refuses_comes_back_as_its_error(server: Server) -> None:
    error = {"type": "BadObservation", "message": "said", "expected": "this", "got": "that"}
    server.answers = [(422, json.dumps({"error": error}).encode())]
    with PolicyClient(server.url) as client, pytest.raises(BadObservation, match="said") as refused:
        client.act([])
    assert (refused.value.expected, refused.value.got) == ("this", "that")


@pytest.mark.parametrize("content", [b"<html>", b"[1]", b'{"error": {"type": "SystemExit", "message": "no"}}'])
def test_an_answer_of_something_else_is_an_arena_error(server: Server, content: bytes) -> None:
    server.answers = [(404, content)]
    with PolicyClient(server.url) as client, pytest.raises(ArenaError):
        client.act([])
    server.answers = [(200, content)]
    with PolicyClient(server.url) as client, pytest.raises(ArenaError, match="something else than expected"):
        client.act([])
