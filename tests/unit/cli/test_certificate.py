"""``arena certificate`` over a real registry, and through the gateway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from unit.registry.test_certificates import World

from arena_ray.model.states import RunState
from arena_ray.orchestrator.api import GatewayAddress
from arena_ray.registry.store import Store

if TYPE_CHECKING:
    from conftest import Arena


@pytest.fixture
def world(store: Store) -> World:
    return World(store, "sweep")


def test_a_complete_one_is_shown_with_its_digest(world: World, arena: Arena) -> None:
    for rate in (0.1, 0.2):
        world.train(rate, 1, lost=1)
    certificate = world.certificate()
    result = arena("certificate", "sweep")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["LEARNING_RATE", "SEED", "RESULT", "STEPS", "ATTEMPTS", "RUN"]
    assert lines[-3:] == ["", "p on sweep: 2 cells, each with one result", f"digest  {certificate.digest()}"]


def test_one_that_is_not_says_why_and_the_exit_code_is_1(world: World, arena: Arena) -> None:
    world.train(0.1, 1, state=RunState.FAILED)
    world.certificate()
    result = arena("certificate", "sweep")
    assert result.exit_code == 1
    assert "p on sweep: 1 cell, not complete:" in result.stdout
    assert "is failed, not completed" in result.stdout


def test_the_gateway_gives_the_same(world: World, arena: Arena, gateway: GatewayAddress) -> None:
    world.train(0.1, 1)
    certificate = world.certificate()
    told = json.loads(arena("certificate", "sweep", "--json").stdout)
    assert (told["is_complete"], told["digest"], told["expected"]) == (True, certificate.digest(), 1)
    assert told["cells"][0]["runs"][0]["attempts"][0]["outcome"] == "completed"


def test_an_experiment_without_a_plugin_has_none(arena: Arena, add_run) -> None:
    add_run()
    result = arena("certificate", "demo")
    assert result.exit_code == 1
    assert "no plugin was at work on experiment demo" in result.stderr
