from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from unit.cli.test_lineage import race

from arena_ray.model.records import Run
from arena_ray.orchestrator.api import GatewayAddress
from arena_ray.registry.store import Store

if TYPE_CHECKING:
    from conftest import AddRun, Arena

__all__ = ["race"]


def test_a_dry_run_prints_the_schedule_and_starts_nothing(arena: Arena, race: list[Run], store: Store) -> None:
    result = arena("replay-schedule", race[1].name, "--dry-run")
    assert result.exit_code == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["FROM", "STEP", "LEARNING_RATE", "ENT_COEF"]
    assert rows[1:] == [["0", "0.001", "0.01"], ["20,480", "0.00037", "0.01"]]
    told = json.loads(arena("replay-schedule", race[1].name, "--dry-run", "--json").stdout)
    assert told == {
        "run": race[1].name,
        "schedule": [
            {"step": 0, "hyperparameters": {"learning_rate": 0.001, "ent_coef": 0.01}},
            {"step": 20_480, "hyperparameters": {"learning_rate": 0.00037}},
        ],
    }
    assert len(store.list_executions()) == 1


def test_a_replay_is_watched_to_its_end(arena: Arena, race: list[Run], gateway: GatewayAddress, store: Store) -> None:
    result = arena("replay-schedule", race[1].name, "--seed", 7, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert [run["state"] for run in told["runs"]] == ["completed"]
    execution = store.list_executions()[-1]
    assert (execution.plugin, execution.spec.seed) == ("replay_schedule", 7)


def test_a_run_without_a_schedule_is_refused_before_anything_is_started(arena: Arena, add_run: AddRun) -> None:
    result = arena("replay-schedule", add_run().name)
    assert result.exit_code == 1
    assert "no plugin has steered it" in result.stderr


def test_a_promoted_revision_is_told_and_the_newest(
    arena: Arena, race: list[Run], gateway: GatewayAddress, store: Store
) -> None:
    result = arena("promote", race[1].name, "--name", "tuned")
    assert result.exit_code == 0, result.stderr
    assert "learning_rate 0.00037, ent_coef 0.01" in result.stdout
    assert f"from {race[1].name}" in result.stdout
    told = json.loads(arena("promote", race[0].name, "--json").stdout)
    assert (told["experiment"], told["name"]) == ("race", "promoted")
    assert [revision["name"] for revision in json.loads(arena("revisions", "race", "--json").stdout)][-2:] == [
        "tuned",
        "promoted",
    ]


@pytest.mark.parametrize("words", [["promote"], ["promote", "--json"]])
def test_without_a_cluster_nothing_is_promoted(arena: Arena, race: list[Run], words: list[str]) -> None:
    result = arena(*words, race[1].name)
    assert result.exit_code == 1
    assert "arena up" in result.stderr
