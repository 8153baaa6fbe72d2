from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from stats_kit import install_writer

from arena_ray.model.paths import Workspace
from arena_ray.orchestrator.api import GatewayAddress, write_gateway

if TYPE_CHECKING:
    from conftest import AddRun, Arena
    from stats_kit import InstallWriter

__all__ = ["install_writer"]


def findings(arena: Arena, *, exit_code: int = 0) -> dict[str, dict[str, Any]]:
    result = arena("doctor", "--json")
    assert result.exit_code == exit_code
    return {finding["check"]: finding for finding in json.loads(result.stdout)}


def test_a_fresh_workspace_is_healthy_and_stays_as_it_is(arena: Arena, workspace: Workspace) -> None:
    found = findings(arena)
    assert found.keys() >= {
        "python",
        "ray",
        "torch",
        "gymnasium",
        "settings",
        "disk",
        "workspace",
        "registry",
        "gateway",
    }
    assert {each["status"] for name, each in found.items() if name not in ("disk", "runner")} == {"ok"}
    assert not workspace.training.exists()


def test_a_gateway_that_answers_is_ok(arena: Arena, gateway: GatewayAddress) -> None:
    assert findings(arena)["gateway"]["detail"] == f"answers at {gateway.url}"


@pytest.mark.parametrize(
    ("pid", "said"), [pytest.param(os.getpid(), "does not answer", id="silent"), (2**22 + 1, "is gone")]
)
def test_a_stale_gateway_file_is_a_warning_with_what_mends_it(
    arena: Arena, workspace: Workspace, pid: int, said: str
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    address = GatewayAddress(url=url, token="t", pid=pid, ray_address="", home="", started_at=datetime.now(UTC))
    write_gateway(workspace.gateway, address)
    found = findings(arena)["gateway"]
    assert found["status"] == "warn"
    assert said in found["detail"]
    assert "arena down" in found["remedy"]
    assert "-> arena down" in arena("doctor").stdout


def test_a_token_that_others_can_read_is_a_warning(arena: Arena, gateway: GatewayAddress, workspace: Workspace) -> None:
    workspace.gateway.chmod(0o644)
    assert findings(arena)["gateway token"]["remedy"] == f"chmod 600 {workspace.gateway}"


def test_a_gateway_of_another_cluster_is_told_from_one_that_is_gone(
    arena: Arena, gateway: GatewayAddress, workspace: Workspace
) -> None:
    write_gateway(workspace.gateway, gateway.model_copy(update={"token": "other"}))
    assert "does not accept the token" in findings(arena)["gateway"]["detail"]


def test_a_damaged_registry_is_a_failure(arena: Arena, workspace: Workspace) -> None:
    workspace.training.mkdir(parents=True)
    workspace.registry.write_bytes(b"this is no database, however one looks at it" * 100)
    assert findings(arena, exit_code=1)["registry"]["status"] == "fail"


def test_a_registry_that_can_be_read_says_how_many_runs_it_has(arena: Arena, add_run: AddRun) -> None:
    add_run()
    assert findings(arena)["registry"]["detail"].endswith("runs: 1")


def test_a_wrong_setting_is_a_failure(arena: Arena, workspace: Workspace) -> None:
    workspace.settings.write_text("gateway_prot = 3\n")
    assert "did you mean 'gateway_port'" in findings(arena, exit_code=1)["settings"]["detail"]


def test_a_file_in_the_place_of_the_workspace_is_a_failure(arena: Arena, workspace: Workspace) -> None:
    (workspace.home / "var").write_text("in the way")
    assert findings(arena, exit_code=1)["workspace"]["remedy"] == f"move {workspace.home / 'var'} away"


def test_stats_writers_are_listed_without_being_loaded(arena: Arena, install_writer: InstallWriter) -> None:
    install_writer("tables", "raise RuntimeError('loaded')")
    assert findings(arena)["stats writer"]["detail"] == "tables of tables 1.0 (tables_mod:make)"
