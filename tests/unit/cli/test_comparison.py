from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from arena_ray.model.states import RunState
from arena_ray.orchestrator.reader import find_client

if TYPE_CHECKING:
    from conftest import AddRun, Arena

    from arena_ray.model.paths import Workspace
    from arena_ray.orchestrator.api import GatewayAddress


@pytest.fixture
def runs(add_run: AddRun) -> None:
    for seed in (1, 2, 3):
        add_run(seed=seed, state=RunState.COMPLETED)
    add_run(seed=4, state=RunState.FAILED)
    add_run(seed=5)


@pytest.mark.usefixtures("runs")
def test_a_configuration_is_ranked_over_its_seeds_and_those_without_a_score_are_told(arena: Arena) -> None:
    head, row, rest = arena("ranking", "demo").stdout.splitlines()
    assert head.split() == ["RANK", "SEEDS", "MISSING", "IQM", "OF", "RETURN", "95%", "INTERVAL", "BEATS", "NEXT"]
    assert row.split() == ["1", "4", "1", "37.5", "-", "to", "37.5", "-"]
    assert rest == "1 runs that have not ended are left out"


@pytest.mark.usefixtures("runs")
def test_a_ranking_as_json_has_every_seed_with_its_score(arena: Arena) -> None:
    found = json.loads(arena("ranking", "demo", "--json", "--mode", "min").stdout)
    assert (found["metric"], found["mode"], found["unfinished"]) == ("episodic_return", "min", 1)
    [only] = found["configurations"]
    assert only["seeds"] == [1, 2, 3, 4]
    assert only["scores"] == [37.5, 37.5, 37.5, None]
    assert (only["iqm"], only["low"], only["high"], only["missing"]) == (37.5, 37.5, None, 1)


@pytest.mark.usefixtures("runs")
def test_too_few_runs_say_how_many_it_takes_instead_of_a_number(arena: Arena) -> None:
    assert arena("importance", "demo").stdout.splitlines() == [
        "nothing can be said yet: 20 configurations that have ended with a score are needed, and there are 1",
        "runs that are left out, by why: 1 is failed; 1 has not ended yet",
    ]
    found = json.loads(arena("importance", "demo", "--json").stdout)
    assert (found["importances"], found["needed"], found["configurations"]) == ({}, 20, 1)


@pytest.mark.usefixtures("runs")
def test_the_gateway_compares_as_the_registry_does(
    arena: Arena, workspace: Workspace, request: pytest.FixtureRequest
) -> None:
    offline = [arena(command, "demo", "--json").stdout for command in ("ranking", "importance")]
    address: GatewayAddress = request.getfixturevalue("gateway")
    client = find_client(workspace)
    assert client is not None
    assert client.address.url == address.url
    with client:
        found = client.ranking("demo", "episodic_return", "max"), client.importance("demo")
    assert [json.loads(each.model_dump_json()) for each in found] == [json.loads(each) for each in offline]


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("command", ["ranking", "importance"])
def test_what_is_not_there_is_an_error(arena: Arena, command: str) -> None:
    assert "no experiment 'dmo'; did you mean 'demo'?" in arena(command, "dmo").stderr
    shown = arena(command, "demo", "--metric", "losses/x")
    assert (shown.exit_code, "no metric 'losses/x'" in shown.stderr) == (1, True)
