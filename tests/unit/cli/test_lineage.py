from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from lineages import SETTINGS, exploit_of
from unit.cli.played import progress
from unit.cli.test_reading import add_checkpoint

from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import AttemptOutcome, ExploitCause, ExploitOutcome, RunState
from arena_ray.orchestrator.api import GatewayAddress
from arena_ray.registry.store import Store

if TYPE_CHECKING:
    from conftest import AddRun, Arena


@pytest.fixture
def race(store: Store) -> list[Run]:
    """Two completed runs of which the second has taken over the first."""
    spec = ExperimentSpec(experiment="race", runner="cleanrl", script="ppo", env_id="CartPole-v1")
    told = {"flags": {}, "script": "ppo", "bundle": "b" * 64}
    execution, _ = store.begin_execution(spec, plugin="pbt", settings=SETTINGS, digest="d", **told)
    runs: list[Run] = []
    for number in range(2):
        values = {"learning_rate": 0.001 * (number + 1), "ent_coef": 0.01}
        own = spec.model_copy(update={"hyperparameters": values})
        run, _ = store.submit(own, execution_id=execution.execution_id, member=number, **told)
        store.begin_attempt(run.run_id, node="node-a", resumed_from=None)
        progress(store, run.run_id, step=20_480, mean_return=100.0 * (number + 1))
        runs.append(run)
    add_checkpoint(store, runs[0].run_id, step=20_480)
    [checkpoint] = store.list_checkpoints(runs[0].run_id)
    exploit = exploit_of(1, 0).model_copy(
        update={
            "donor_checkpoint_id": checkpoint.checkpoint_id,
            "execution_id": execution.execution_id,
            "run_id": runs[1].run_id,
            "donor_run_id": runs[0].run_id,
            "outcome": ExploitOutcome.COMMITTED,
            "cause": ExploitCause.QUANTILE,
        }
    )
    store.commit_exploit(exploit)
    store.settle_exploit(runs[1].run_id, attempt=1, generation=1, outcome=ExploitOutcome.APPLIED)
    for run in runs:
        store.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.COMPLETED)
        store.move_run(run.run_id, RunState.COMPLETED, attempt=1)
    return runs


def test_each_run_is_told_with_its_ancestry_the_best_first(arena: Arena, race: list[Run]) -> None:
    result = arena("lineage", "race")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "pbt on race: running, 1 exploits",
        "",
        f"run 1  {race[1].name}  completed, return 200 (the best)",
        "  step           0  run 0 begins with learning_rate 0.001, ent_coef 0.01",
        "  step      20,480  run 1 takes over from run 0 (return 61 → 214): learning_rate 0.001 → 0.00037",
        "  step      20,480  run 1 is completed, return 200",
        "",
        f"run 0  {race[0].name}  completed, return 100",
        "  step           0  run 0 begins with learning_rate 0.001, ent_coef 0.01",
        "  step      20,480  run 0 is completed, return 100",
    ]


def test_as_json_it_is_all_that_is_known_with_the_winner(arena: Arena, race: list[Run]) -> None:
    told = json.loads(arena("lineage", "race", "--json").stdout)
    assert told["winner"] == race[1].run_id
    assert told["execution"]["plugin"] == "pbt"
    assert [run["generation"] for run in told["runs"]] == [0, 1]
    assert [exploit["donor_run_id"] for exploit in told["exploits"]] == [race[0].run_id]
    assert told["milestones"] == []


def test_the_gateway_answers_as_the_registry_does(
    arena: Arena, race: list[Run], workspace: Workspace, gateway: GatewayAddress
) -> None:
    asked = arena("lineage", "race", "--json")
    assert asked.exit_code == 0
    workspace.gateway.unlink()
    assert json.loads(asked.stdout) == json.loads(arena("lineage", "race", "--json").stdout)


def test_it_is_drawn_into_a_file_instead_and_as_json_besides(
    arena: Arena, race: list[Run], workspace: Workspace
) -> None:
    path = workspace.home / "lineage.svg"
    drawn = arena("lineage", "race", "--plot", path, "--colour", "learning_rate")
    assert (drawn.exit_code, drawn.stdout) == (0, "")
    assert f"drawn into {path}" in drawn.stderr
    assert "learning_rate" in path.read_text()
    told = json.loads(arena("lineage", "race", "--plot", path, "--json").stdout)
    assert told["winner"] == race[1].run_id
    assert "episodic_return" in path.read_text()


def test_what_cannot_be_drawn_is_an_error(arena: Arena, race: list[Run], workspace: Workspace) -> None:
    for words, said in [(["x.jpeg"], ".png or .svg"), (["x.png", "--colour", "ent_cof"], "did you mean 'ent_coef'")]:
        result = arena("lineage", "race", "--plot", workspace.home / words[0], *words[1:])
        assert result.exit_code == 1
        assert said in result.stderr
    assert not (workspace.home / "x.png").exists()


def test_that_of_an_earlier_execution_is_shown_by_its_id_or_its_plugin(
    arena: Arena, race: list[Run], store: Store
) -> None:
    first = store.list_executions()[0]
    told = {"flags": {}, "script": "ppo", "bundle": "b" * 64}
    store.begin_execution(first.spec, plugin="replay_schedule", settings={}, digest="e", **told)
    assert "replay_schedule on race" in arena("lineage", "race").stdout
    for key in (first.execution_id, "pbt"):
        assert "pbt on race" in arena("lineage", "race", "--execution", key).stdout
    assert "no execution 'ptb'; did you mean 'pbt'?" in arena("lineage", "race", "--execution", "ptb").stderr


def test_without_a_plugin_it_says_so(arena: Arena, add_run: AddRun) -> None:
    add_run()
    result = arena("lineage", "demo")
    assert result.exit_code == 0
    assert "no plugin has steered experiment demo" in result.stdout
    told = json.loads(arena("lineage", "demo", "--json").stdout)
    assert (told["execution"], told["winner"], len(told["runs"])) == (None, None, 1)


def test_an_unknown_experiment_is_an_error_that_names_the_nearest(arena: Arena, race: list[Run]) -> None:
    result = arena("lineage", "rice")
    assert result.exit_code == 1
    assert "did you mean 'race'" in result.stderr


def test_an_experiment_is_shown_with_its_plugin(arena: Arena, race: list[Run], add_run: AddRun) -> None:
    add_run()
    assert "pbt (running)" in arena("experiments").stdout
    listed = {each["name"]: each for each in json.loads(arena("experiments", "--json").stdout)}
    assert [each["plugin"] for each in listed["race"]["executions"]] == ["pbt"]
    assert listed["demo"]["executions"] == []
    assert "pbt (running)" in arena("show", "race").stdout
    [shown] = json.loads(arena("show", "race", "--json").stdout)["executions"]
    assert (shown["plugin"], shown["state"]) == ("pbt", "running")


def test_a_run_is_shown_with_its_hyperparameters_as_they_are_now(arena: Arena, race: list[Run]) -> None:
    text = arena("show", race[1].name).stdout
    assert "learning_rate=0.00037 ent_coef=0.01" in text
    assert "run 1 of its plugin, 1 exploits" in text
