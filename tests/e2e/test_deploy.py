"""A policy from its training to the next day's cluster, as its user goes along."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from e2e.terminal import Terminal
from waiting import wait_until

LEVEL = "[0, 0, 0, 0]"


@pytest.mark.slow
def test_a_policy_is_deployed_by_its_file_and_brought_up_again_by_the_next_cluster(terminal: Terminal) -> None:
    flags = {"total_timesteps": 4096}
    finished = terminal.arena("run", terminal.write("d.yaml", script="ppo", flags=flags, deploy={"name": "cart"}))
    assert finished.code == 0, finished.err
    assert "endpoint      http://127.0.0.1:" in finished.out
    assert "environment   CartPole-v1, 20 episodes, seeds from 0" in finished.out
    [offline] = terminal.ask("policies")
    assert (offline["version"], offline["url"]) == (1, None)

    (terminal.workspace.settings).write_text('serve_host = "0.0.0.0"\n')
    terminal.ask("up", "--num-cpus", "2")
    try:
        policy = wait_until(lambda: answering(terminal), what="an endpoint")
        assert terminal.ask("act", "cart", LEVEL)["version"] == 1
        assert len(terminal.ask("evaluate", "cart", "--episodes", "3")["returns"]) == 3
        question = {"content": json.dumps({"observation": json.loads(LEVEL)}), "trust_env": False}
        assert httpx.post(policy["url"] + "/act", **question).status_code == 401
        headers = {"Authorization": f"Bearer {json.loads(terminal.workspace.gateway.read_text())['token']}"}
        assert httpx.post(policy["url"] + "/act", headers=headers, **question).json()["version"] == 1
        assert terminal.ask("undeploy", "cart")["version"] is None
    finally:
        terminal.arena("down")


def answering(terminal: Terminal) -> dict[str, Any] | None:
    """Return the policy as soon as it has an endpoint."""
    [policy] = terminal.ask("policies")
    return policy if policy["url"] else None
