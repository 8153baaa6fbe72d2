"""A replica, asked as Serve's proxy asks it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from policy_server import Asking
from unit.serving.conftest import DESCRIPTION, NUMBERS, weights
from unit.serving.test_policy_files import MakeCheckpoint

from arena_ray.model.errors import PolicyUnusable
from arena_ray.serving.deployment import PolicyReplica, Standing
from arena_ray.serving.policy_files import read_checkpoint
from arena_ray.serving.target import Target

LEVEL = [0.0, 0.0, 0.0, 0.0]
MakeTarget = Callable[..., Target]


@pytest.fixture
def target_of(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> MakeTarget:
    def make(version: int = 1, tensors: Any = None, description: Any = DESCRIPTION, **keys: Any) -> Target:
        files = read_checkpoint(make_checkpoint(description, tensors))
        root = tmp_path / "policies" / str(version)
        files.write(root)
        return Target(name="x", version=version, root=str(root), digest=files.digest(), **keys)

    return make


@pytest.fixture
def replica() -> PolicyReplica:
    return PolicyReplica()


def tell(replica: PolicyReplica, target: Target) -> None:
    asyncio.run(replica.reconfigure(target.model_dump()))


@pytest.fixture
def http(replica: PolicyReplica, target_of: MakeTarget) -> Asking:
    tell(replica, target_of())
    return Asking(replica)


def test_an_observation_gets_an_action_and_a_batch_a_list(http: Asking) -> None:
    one = http.post("/policies/x/act", json={"observation": LEVEL})
    many = http.post("/policies/x/act", json={"observation": [LEVEL, LEVEL]})
    assert (one.status_code, one.json().keys(), one.json()["version"]) == (200, {"action", "version"}, 1)
    assert many.json() == {"action": [one.json()["action"]] * 2, "version": 1}


def test_an_action_of_numbers_is_answered_as_a_list_and_nan_is_refused(
    replica: PolicyReplica, target_of: MakeTarget
) -> None:
    tell(replica, target_of(description=NUMBERS))
    http = Asking(replica)
    one = http.post("/policies/x/act", json={"observation": LEVEL}).json()["action"]
    assert [type(number) for number in one] == [float, float]
    assert http.post("/policies/x/act", json={"observation": [LEVEL] * 3}).json()["action"] == [one] * 3
    for body in (b'{"observation": [0, 0, 0, NaN]}', b'{"observation": [0, 0, 0]}'):
        assert http.post("/policies/x/act", content=body).status_code == 422
    told = http.get("/policies/x").json()
    assert (told["kind"], told["act"], told["environment"]["action_space"]["high"]) == ("gaussian", "mean", [0.5, 0.25])


def test_it_tells_its_name_version_and_spaces_with_infinities_as_text(http: Asking) -> None:
    told = http.get("/policies/x").json()
    assert (told["name"], told["version"], told["global_step"]) == ("x", 1, 128)
    assert told["environment"]["action_space"] == {"space": "discrete", "n": 2, "start": 0}
    assert told["environment"]["observation_space"]["low"] == [-4.8, "-inf", -0.4, "-inf"]


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b'{"observation": [0, 0, 0]}', "shape [3]"),
        (b'{"observation": [0, 0, 0, NaN]}', "NaN"),
        (b'{"observation": [0, 0, 0, "0"]}', "text"),
        (b"no json", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[0, 0, 0, 0]", "another body"),
        (b'{"observation": [0, 0, 0, 0], "more": 1}', "another body"),
    ],
)
def test_what_it_cannot_act_on_is_answered_422_with_expected_and_got(http: Asking, body: bytes, got: str) -> None:
    reply = http.post("/policies/x/act", content=body)
    error = reply.json()["error"]
    assert (reply.status_code, error["type"], error["got"]) == (422, "BadObservation", got)
    assert error["expected"] in error["message"]


def test_what_is_not_asked_for_in_its_way_is_answered_404(http: Asking) -> None:
    for method, path in (("GET", "/policies/x/act"), ("POST", "/policies/x"), ("DELETE", "/policies/x")):
        assert http.request(method, path).status_code == 404


def test_without_the_token_it_answers_nothing(replica: PolicyReplica, target_of: MakeTarget) -> None:
    tell(replica, target_of(token_digest=hashlib.sha256(b"secret").hexdigest()))
    http = Asking(replica)
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "secret"}):
        for method, path in (("GET", "/policies/x"), ("POST", "/policies/x/act")):
            assert http.request(method, path, headers=headers).status_code == 401
    told = http.get("/policies/x", headers={"Authorization": "Bearer secret"})
    assert told.status_code == 200
    assert "token" not in told.text


def test_another_version_takes_over(replica: PolicyReplica, target_of: MakeTarget, http: Asking) -> None:
    tell(replica, target_of(2))
    assert http.post("/policies/x/act", json={"observation": LEVEL}).json()["version"] == 2
    assert replica.standing() == Standing(version=2, refused=None, reason=None)


def test_a_version_that_fails_leaves_the_one_before_answering(
    replica: PolicyReplica, target_of: MakeTarget, http: Asking
) -> None:
    tell(replica, target_of(2, weights() | {"b.weight": weights()["b.weight"] * float("nan")}))
    assert http.post("/policies/x/act", json={"observation": LEVEL}).json()["version"] == 1
    standing = replica.standing()
    assert (standing.version, standing.refused) == (1, 2)
    assert "not finite" in (standing.reason or "")


def test_a_first_version_that_fails_is_an_error(replica: PolicyReplica, target_of: MakeTarget) -> None:
    with pytest.raises(PolicyUnusable):
        tell(replica, target_of().model_copy(update={"digest": "other"}))
    assert Asking(replica).get("/policies/x").status_code == 503
