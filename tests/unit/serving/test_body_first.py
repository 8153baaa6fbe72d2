from __future__ import annotations

import asyncio
from typing import Any

import pytest

from arena_ray.serving.body_first import BODY, ENVIRONMENT, LARGEST_BYTES, BodyFirst, middlewares


def passed_on(messages: list[dict[str, Any]], **scope: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the scope and the messages that an application behind the middleware gets."""
    given = {"type": "http", "method": "POST", "path": "/policies/x/act", "headers": [(b"content-length", b"3")]}
    seen: list[dict[str, Any]] = []
    waiting = list(messages)

    async def receive() -> Any:
        return waiting.pop(0)

    async def application(scope: Any, receive: Any, _: Any) -> None:
        given.update(scope)
        while len(seen) < len(messages):
            seen.append(await receive())

    asyncio.run(BodyFirst(application)(given | scope, receive, None))
    return given, seen


WHOLE = [{"type": "http.request", "body": b"abc"}, {"type": "http.disconnect"}]


def test_a_small_body_goes_with_the_request_and_is_still_to_be_received() -> None:
    scope, seen = passed_on(WHOLE)
    assert scope[BODY] == b"abc"
    assert seen == WHOLE


@pytest.mark.parametrize(
    "scope",
    [
        {"path": "/others/act"},
        {"method": "GET"},
        {"type": "websocket"},
        {"headers": []},
        {"headers": [(b"content-length", str(LARGEST_BYTES + 1).encode())]},
        {"headers": [(b"content-length", b"-1")]},
    ],
)
def test_all_other_requests_pass_as_they_are(scope: dict[str, Any]) -> None:
    given, seen = passed_on(WHOLE, **scope)
    assert BODY not in given
    assert seen == WHOLE


def test_a_body_that_comes_in_pieces_or_not_at_all_is_left_to_the_replica() -> None:
    for messages in ([{"type": "http.request", "body": b"a", "more_body": True}, *WHOLE], WHOLE[1:]):
        scope, seen = passed_on(messages)
        assert BODY not in scope
        assert seen == messages


def test_the_environment_names_the_function_that_serve_calls() -> None:
    [path] = ENVIRONMENT.values()
    assert path == f"{middlewares.__module__}.{middlewares.__name__}"
    assert middlewares()[0].cls is BodyFirst
