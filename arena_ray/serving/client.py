"""Asks a deployed policy: plain HTTP, neither Ray nor torch."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import ValidationError

from arena_ray.model import errors
from arena_ray.model.errors import ArenaError, EndpointUnavailable, rebuild_error
from arena_ray.model.spec import Strict

_PAUSE_S = 0.1
_COMING_BACK = frozenset(
    {
        HTTPStatus.INTERNAL_SERVER_ERROR,  # what Serve answers where a replica dies under a request
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class Answer(Strict):
    """What a policy does: an action, or one for each observation of a batch; and which version says so."""

    action: Any
    version: int


class PolicyClient:
    """Asks one policy. While its endpoint is away, which comes back by itself, a question is asked again.

    Args:
        url: Where the policy answers, as ``arena policies`` shows it.
        token: The gateway's token, needed where the endpoint is open to other machines.
        timeout_s: Seconds one answer may take.
        retry_s: Seconds to go on asking.
    """

    def __init__(self, url: str, *, token: str | None = None, timeout_s: float = 30.0, retry_s: float = 30.0) -> None:
        self.url = url
        self._retry_s = retry_s
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # No proxy of the environment stands between us and the policy.
        self._http = httpx.Client(headers=headers, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def act(self, observation: Any) -> Answer:
        """Return the action for *observation*, which is a list of numbers, or a list of such observations.

        Raises:
            BadObservation: It is not of the policy's shape or type, or not finite.
            EndpointUnavailable: Nothing answers.
        """
        response = self._ask("POST", self.url + "/act", content=json.dumps({"observation": observation}))
        try:
            return Answer.model_validate_json(response.content)
        except ValidationError as exc:
            raise self._strange(response) from exc

    def describe(self) -> dict[str, Any]:
        """Return name, version and spaces of the policy.

        Raises:
            EndpointUnavailable: Nothing answers.
        """
        response = self._ask("GET", self.url)
        try:
            described = response.json()
        except ValueError as exc:
            raise self._strange(response) from exc
        if not isinstance(described, dict):
            raise self._strange(response)
        return described

    def _ask(self, method: str, url: str, **options: Any) -> httpx.Response:
        deadline = time.monotonic() + self._retry_s
        while True:
            try:
                response = self._http.request(method, url, **options)
            except httpx.TransportError as exc:
                problem = str(exc) or type(exc).__name__
            else:
                if response.is_success:
                    return response
                if response.status_code not in _COMING_BACK:
                    raise _error(response)
                problem = f"it answered {response.status_code}"
            if time.monotonic() >= deadline:
                raise EndpointUnavailable(f"{self.url} does not answer ({problem}); see 'arena policies'")
            time.sleep(_PAUSE_S)

    def _strange(self, response: httpx.Response) -> ArenaError:
        return ArenaError(f"{self.url} answered something else than expected: {response.text[:300]}")


def _error(response: httpx.Response) -> ArenaError:
    try:
        said = response.json()["error"]
        kind = getattr(errors, said.pop("type"), ArenaError)
        return rebuild_error(kind, said.pop("message"), said)
    except (ValueError, KeyError, TypeError, AttributeError):
        return EndpointUnavailable(f"the endpoint answered {response.status_code}: {response.text[:300] or 'nothing'}")
