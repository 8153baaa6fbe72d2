from __future__ import annotations

import json
from typing import TYPE_CHECKING

from arena_ray.model.paths import Workspace
from arena_ray.model.states import RunState
from arena_ray.orchestrator.api import GatewayAddress

if TYPE_CHECKING:
    from conftest import AddRun, Arena


def test_status_without_a_cluster_tells_the_runs_and_how_to_start_one(arena: Arena, add_run: AddRun) -> None:
    add_run(state=RunState.COMPLETED)
    add_run(seed=2)
    assert json.loads(arena("status", "--json").stdout) == {
        "gateway": None,
        "nodes": [],
        "runs": {"completed": 1, "queued": 1},
    }
    text = arena("status").stdout
    assert "arena up" in text
    assert "1 completed, 1 queued" in text


def test_status_of_a_cluster_tells_what_is_in_use(arena: Arena, gateway: GatewayAddress) -> None:
    text = arena("status").stdout
    assert gateway.url in text
    assert "1 of 4 CPUs, 0 of 1 GPUs" in text
    assert "10.0.0.1" in text
    status = json.loads(arena("status", "--json").stdout)
    assert status["gateway"]["url"] == gateway.url
    assert status["nodes"][0]["cpu_free"] == 3


def test_up_where_a_cluster_is_up_says_where(arena: Arena, gateway: GatewayAddress) -> None:
    assert f"up already: gateway {gateway.url}" in arena("up").stdout
    assert json.loads(arena("up", "--json").stdout)["started"] is False


def test_no_command_prints_the_token(arena: Arena, gateway: GatewayAddress) -> None:
    for words in (("up",), ("up", "--json"), ("status",), ("status", "--json"), ("doctor",), ("doctor", "--json")):
        result = arena(*words)
        assert result.exit_code == 0, words
        assert gateway.token not in result.output


def test_down_without_a_cluster_is_no_error(arena: Arena, workspace: Workspace) -> None:
    assert "no cluster is up" in arena("down").stdout
    assert json.loads(arena("down", "--json").stdout) == {"stopped": False}


def test_a_wrong_setting_is_told_before_anything_is_started(arena: Arena, workspace: Workspace) -> None:
    result = arena("up", "--port", 99999)
    assert result.exit_code == 1
    assert "command line: gateway_port" in result.stderr
    assert not workspace.gateway.exists()
