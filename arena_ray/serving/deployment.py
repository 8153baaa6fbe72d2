"""The process that answers for one policy: a replica of Ray Serve, without a web framework of its own."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import torch
from starlette.requests import Request
from starlette.responses import Response

from arena_ray.model.errors import ArenaError, BadObservation, PolicyUnusable
from arena_ray.model.spec import Strict
from arena_ray.serving.body_first import BODY
from arena_ray.serving.policy import Policy
from arena_ray.serving.target import Target


class Standing(Strict):
    """Which version a replica answers with."""

    version: int | None
    refused: int | None
    reason: str | None


def load_policy(target: Target) -> Policy:
    """Return the policy of *target*, probed.

    Raises:
        PolicyUnusable: It cannot be read, or does not act.
    """
    policy = Policy.load(Path(target.root), digest=target.digest)
    policy.probe()
    return policy


class PolicyReplica:
    """Answers with one version at a time. Told of another, it loads that one beside it and then swaps."""

    def __init__(self) -> None:
        torch.set_num_threads(1)  # a network that fits here is faster without waking threads
        self._policy: Policy | None = None
        self._target: Target | None = None
        self._refused: tuple[int, str] | None = None

    async def reconfigure(self, config: dict[str, Any]) -> None:
        """Answer with what *config*, a :class:`Target`, says; where that fails, go on with what answered before.

        Raises:
            PolicyUnusable: There was nothing before.
        """
        target = Target.model_validate(config)
        try:
            policy = await asyncio.to_thread(load_policy, target)
        except PolicyUnusable as exc:
            if self._policy is None:
                raise
            self._refused = target.version, str(exc)
            return
        self._policy, self._target, self._refused = policy, target, None

    def standing(self) -> Standing:
        """Return which version answers, and which one was refused since, and why."""
        number, reason = self._refused or (None, None)
        return Standing(version=self._target.version if self._target else None, refused=number, reason=reason)

    async def __call__(self, request: Request) -> Response:
        """Answer one HTTP request."""
        policy, target = self._policy, self._target
        if policy is None or target is None:  # cannot be: a replica gets requests only after reconfigure
            return _failure(503, "EndpointUnavailable", "the policy is being loaded")
        if target.token_digest is not None and not _is_allowed(request, target.token_digest):
            return _failure(401, "ArenaError", "the token is missing or wrong; it stands in gateway.json")
        method, is_for_action = request.method, request.scope["path"].endswith(f"/{target.name}/act")
        if method == "GET" and not is_for_action:
            return _json(_description(policy, target))
        if method == "POST" and is_for_action:
            body = request.scope.get(BODY)  # there where the proxy is ours, and the body small
            return _act(policy, target, await request.body() if body is None else body)
        return _failure(404, "NotFound", f"ask with POST {target.name}/act, or GET {target.name}")


def _act(policy: Policy, target: Target, body: bytes) -> Response:
    try:
        asked = json.loads(body)
        if not isinstance(asked, dict) or asked.keys() != {"observation"}:
            raise BadObservation(expected='{"observation": …}', got="another body")
        observations, is_batch = policy.check(asked["observation"])
        actions = policy.act(observations)
    except ValueError as exc:
        error = exc if isinstance(exc, ArenaError) else BadObservation(expected='{"observation": …}', got="no JSON")
        return _failure(422, type(error).__name__, str(error), **error.__dict__)
    return _json({"action": actions if is_batch else actions[0], "version": target.version})


def _description(policy: Policy, target: Target) -> dict[str, Any]:
    environment, network = policy.description.environment, policy.description.policy
    assert environment is not None, "a policy that was loaded has its environment"
    assert network is not None, "checked when it was loaded"
    return {
        "name": target.name,
        "version": target.version,
        "digest": target.digest,
        "kind": network.kind,
        "act": network.act,
        "environment": environment.model_dump(mode="json"),
        "global_step": policy.description.global_step,
    }


def _is_allowed(request: Request, token_digest: str) -> bool:
    _, _, token = request.headers.get("authorization", "").partition("Bearer ")
    return hmac.compare_digest(hashlib.sha256(token.encode()).hexdigest(), token_digest)


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content), status_code=status, media_type="application/json")


def _failure(status: int, kind: str, message: str, **more: Any) -> Response:
    return _json({"error": {"type": kind, "message": message, **more}}, status)
