from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from registry_kit import write_empty_registry

from arena_ray.model.errors import IllegalTransition, NotFound
from arena_ray.model.spec import Deployment, ExperimentSpec, PluginCall
from arena_ray.model.states import POLICY_MOVES, AttemptOutcome, ExecutionState, PolicyState, RunState
from arena_ray.registry.policies import Wish
from arena_ray.registry.store import Store

SPEC = ExperimentSpec(experiment="x", runner="cleanrl", script="ppo", env_id="CartPole-v1")
WISH = Deployment(name="cartpole")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "registry.sqlite3"
    write_empty_registry(path)
    with Store.open(f"sqlite:///{path}") as store:
        yield store


def completed(store: Store, **keys: object) -> str:
    """Return the id of a run that has completed, with one checkpoint."""
    spec = SPEC.model_copy(update=keys)
    run, _ = store.submit(spec, flags={}, script="ppo", bundle="b", force_new=True)
    _complete(store, run.run_id)
    return run.run_id


def _complete(store: Store, run_id: str) -> None:
    store.begin_attempt(run_id, node="n", resumed_from=None)
    digests = {"digest": "d", "policy_digest": "p", "metrics_digest": "m"}
    place = {"boundary": 1, "global_step": 10, "uri": f"/c/{run_id}", "size_bytes": 1, "episodic_return": 1.0}
    store.add_checkpoint(run_id, attempt=1, is_final=True, **digests, **place)
    store.end_attempt(run_id, attempt=1, outcome=AttemptOutcome.COMPLETED)
    store.move_run(run_id, RunState.COMPLETED, attempt=1)


@pytest.fixture
def add(store: Store) -> Callable[..., int]:
    run_id = completed(store)
    checkpoint_id = store.list_checkpoints(run_id)[0].checkpoint_id

    def make(name: str = "cartpole", state: PolicyState = PolicyState.LOADING) -> int:
        version = store.add_policy_version(name, run_id=run_id, checkpoint_id=checkpoint_id, digest="d").version
        if state is PolicyState.REPLACED:
            store.move_policy_version(name, version, PolicyState.SERVING)
        if state is not PolicyState.LOADING:
            store.move_policy_version(name, version, state)
        return version

    return make


def test_versions_of_a_name_count_from_1(add: Callable[..., int]) -> None:
    assert [add(), add(), add("other"), add()] == [1, 2, 1, 3]


def test_one_that_serves_takes_the_place_of_the_one_before(store: Store, add: Callable[..., int]) -> None:
    for _ in range(2):
        store.move_policy_version("cartpole", add(), PolicyState.SERVING)
    newest, older = store.list_policy_versions(name="cartpole")
    assert (newest.state, newest.ended_at) == (PolicyState.SERVING, None)
    assert (older.state, older.reason) == (PolicyState.REPLACED, "version 2 answers")
    assert older.ended_at is not None


def test_the_registry_makes_the_moves_of_the_table_and_no_other(store: Store, add: Callable[..., int]) -> None:
    targets = [state for state in PolicyState if state is not PolicyState.LOADING]
    for source, target in itertools.product(PolicyState, targets):
        name = f"{source}-{target}"
        version = add(name, state=source)
        if target in POLICY_MOVES[source]:
            assert store.move_policy_version(name, version, target, reason="why").reason == "why"
            continue
        with pytest.raises(IllegalTransition, match=f"policy {name} is {source} and cannot become {target}"):
            store.move_policy_version(name, version, target)
        assert store.list_policy_versions(name=name)[0].state is source


def test_a_version_that_never_was_cannot_move(store: Store) -> None:
    with pytest.raises(NotFound, match="no version '1 of policy cartpole'"):
        store.move_policy_version("cartpole", 1, PolicyState.SERVING)


def test_versions_are_listed_by_name_and_state(store: Store, add: Callable[..., int]) -> None:
    add(state=PolicyState.FAILED)
    add("other")
    assert [one.name for one in store.list_policy_versions()] == ["other", "cartpole"]
    assert [one.name for one in store.list_policy_versions(states=[PolicyState.FAILED])] == ["cartpole"]


def test_a_completed_run_whose_file_asks_for_it_is_wished_until_it_was_tried(store: Store) -> None:
    completed(store)
    run_id = completed(store, deploy=WISH, seed=2)
    store.submit(SPEC.model_copy(update={"deploy": WISH, "seed": 3}), flags={}, script="ppo", bundle="b")
    assert store.list_deploy_wishes() == [Wish("cartpole", "best", run_id=run_id, execution_id=None)]
    checkpoint_id = store.list_checkpoints(run_id)[0].checkpoint_id
    store.add_policy_version("cartpole", run_id=run_id, checkpoint_id=checkpoint_id, digest="")
    assert store.list_deploy_wishes() == []


def test_of_a_plugin_execution_the_whole_is_wished_and_not_each_run(store: Store) -> None:
    spec = SPEC.model_copy(update={"deploy": WISH, "plugin": PluginCall(name="pbt")})
    source = {"flags": {}, "script": "ppo", "bundle": "b"}
    execution, _ = store.begin_execution(spec, plugin="pbt", settings={}, digest="d", **source)
    seat = {"execution_id": execution.execution_id, "member": 0}
    run, _ = store.submit(spec.model_copy(update={"plugin": None}), **seat, **source)
    _complete(store, run.run_id)
    assert store.list_deploy_wishes() == []
    store.move_execution(execution.execution_id, ExecutionState.COMPLETED)
    assert store.list_deploy_wishes() == [Wish("cartpole", "best", run_id=None, execution_id=execution.execution_id)]
    checkpoint_id = store.list_checkpoints(run.run_id)[0].checkpoint_id
    store.add_policy_version("cartpole", run_id=run.run_id, checkpoint_id=checkpoint_id, digest="d")
    assert store.list_deploy_wishes() == []


def test_what_was_asked_last_of_an_unfinished_run_counts(store: Store) -> None:
    run, _ = store.submit(SPEC, flags={}, script="ppo", bundle="b")
    again, created = store.submit(SPEC.model_copy(update={"deploy": WISH}), flags={}, script="ppo", bundle="b")
    assert (again.run_id, created) == (run.run_id, False)
    _complete(store, run.run_id)
    assert [wish.run_id for wish in store.list_deploy_wishes()] == [run.run_id]


def test_the_checkpoint_of_a_policy_is_held_until_its_files_are_made(store: Store) -> None:
    run_id = completed(store)
    checkpoint_id = store.list_checkpoints(run_id)[0].checkpoint_id
    version = store.add_policy_version("cartpole", run_id=run_id, checkpoint_id=checkpoint_id, digest="").version
    assert store.held_checkpoints(run_id) == {checkpoint_id}
    store.complete_policy_version("cartpole", version, digest="d")
    assert store.held_checkpoints(run_id) == set()
