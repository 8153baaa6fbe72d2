"""Policies as the orchestrator keeps them, with endpoints that are played: they load what they are told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from played_endpoints import PlayedEndpoints
from unit.serving.conftest import DESCRIPTION, changed, make_checkpoint, weights

from arena_ray.model.errors import CheckpointCorrupt, EndpointUnavailable, NotFound, PolicyUnusable, SpecError
from arena_ray.model.events import TrainingStep
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Checkpoint
from arena_ray.model.settings import Settings
from arena_ray.model.spec import Deployment, ExperimentSpec, PluginCall
from arena_ray.model.states import AttemptOutcome, ExecutionState, PolicyState, RunState
from arena_ray.orchestrator.api import GatewayAddress, write_gateway
from arena_ray.orchestrator.policies import BRING_UP_ATTEMPTS, Policies, endpoint_token
from arena_ray.orchestrator.reader import RegistryReader
from arena_ray.registry.store import Store
from arena_ray.runner.graph_export import ExportedGraph, NoGraph
from arena_ray.telemetry.archive import ArchiveWriter, encode_event

__all__ = ["make_checkpoint"]

SPEC = ExperimentSpec(experiment="x", runner="cleanrl", script="ppo", env_id="CartPole-v1")
SOURCE = {"flags": {}, "script": "ppo", "bundle": "b"}


class World:
    """Policies over a registry, with runs that have completed."""

    def __init__(self, workspace: Workspace, make: Callable[..., Checkpoint]) -> None:
        self.workspace = workspace
        self.store = Store.open(workspace.registry_url)
        self.endpoints = PlayedEndpoints()
        self.exported: list[str] = []
        self.answered_meanwhile: set[str] = set()
        self._make = make
        self.policies = self.restarted()

    def restarted(self) -> Policies:
        """Return another one in the place of one that has died."""
        self.policies = Policies(
            self.workspace,
            store=self.store,
            endpoints=self.endpoints,
            token=lambda: None,
            exporter=self.export,
            removal_patience_s=0.0,
        )
        return self.policies

    def export(self, checkpoint: Checkpoint) -> ExportedGraph:
        """Take the place of a process that would make a graph."""
        self.exported.append(checkpoint.checkpoint_id)
        self.answered_meanwhile = set(self.endpoints.answering)
        raise NoGraph("it has a memory")

    def train(self, *returns: float, execution_id: str | None = None, member: int | None = None, **options: object):
        """Return a run that has completed, with a checkpoint for each of *returns*."""
        spec = SPEC.model_copy(update=options.pop("spec", {}))
        run, _ = self.store.submit(spec, force_new=True, execution_id=execution_id, member=member, **SOURCE)
        self.store.begin_attempt(run.run_id, node="n", resumed_from=None)
        for number, value in enumerate(returns):
            found = self._make(**options, episodic_return=value)
            progress = {"boundary": number, "global_step": number, "episodic_return": value, "steps_per_second": 1.0}
            self.store.record_progress(run.run_id, attempt=1, **progress)
            known = found.model_dump(include={"uri", "digest", "policy_digest", "metrics_digest", "size_bytes"})
            place = {"boundary": number, "global_step": number, "episodic_return": value, "is_final": False}
            self.store.add_checkpoint(run.run_id, attempt=1, **known, **place)
        self.store.end_attempt(run.run_id, attempt=1, outcome=AttemptOutcome.COMPLETED)
        return self.store.move_run(run.run_id, RunState.COMPLETED, attempt=1)

    def serve(self, *returns: float) -> None:
        self.policies.deploy(self.train(*(returns or (1.0,))).run_id, "cartpole")
        self.policies.look_after()

    def states(self, name: str = "cartpole") -> list[str]:
        return [one.state.value for one in self.policies.policy(name).versions]


@pytest.fixture
def world(workspace: Workspace, make_checkpoint: Callable[..., Checkpoint]):
    world = World(workspace, make_checkpoint)
    yield world
    world.store.close()


def test_a_deployed_run_is_loading_and_serves_once_it_was_looked_after(world: World) -> None:
    run = world.train(1.0, 3.0, 2.0)
    version = world.policies.deploy(run.name, "cartpole")
    assert (version.state, version.version, version.run_id) == (PolicyState.LOADING, 1, run.run_id)
    assert world.policies.policy("cartpole").url is None
    world.policies.look_after()
    policy = world.policies.policy("cartpole")
    assert (policy.version, policy.url) == (1, "http://played/policies/cartpole")
    chosen = world.store.get_checkpoint(version.checkpoint_id)
    assert chosen is not None
    assert chosen.episodic_return == 3.0
    target = world.endpoints.answering["cartpole"]
    assert (target.version, target.digest, target.token_digest) == (1, version.digest, None)
    assert Path(target.root) == world.workspace.policies / "cartpole" / "1"


def test_the_latest_is_deployed_where_it_is_asked_for_and_one_checkpoint_by_id_or_directory(world: World) -> None:
    run = world.train(3.0, 1.0)
    latest, best = world.store.list_checkpoints(run.run_id)
    deploy = world.policies.deploy
    assert deploy(run.run_id, "a", select="latest").checkpoint_id == latest.checkpoint_id
    assert deploy(latest.checkpoint_id, "b").checkpoint_id == latest.checkpoint_id
    assert deploy(best.uri, "c").checkpoint_id == best.checkpoint_id


def test_deployed_twice_it_stays_the_same_version(world: World) -> None:
    run = world.train(1.0)
    first = world.policies.deploy(run.run_id, "cartpole")
    world.policies.look_after()
    assert world.policies.deploy(run.run_id, "cartpole").version == first.version
    world.policies.undeploy("cartpole")
    assert world.policies.deploy(run.run_id, "cartpole").version == 2


def test_another_run_is_the_next_version_and_replaces_the_one_before(world: World) -> None:
    world.serve()
    world.serve()
    assert world.states() == ["serving", "replaced"]
    assert world.endpoints.answering["cartpole"].version == 2


def test_versions_that_come_fast_are_brought_up_one_after_the_other(world: World) -> None:
    for _ in range(3):
        world.policies.deploy(world.train(1.0).run_id, "cartpole")
    world.policies.look_after()
    assert world.states() == ["serving", "replaced", "replaced"]
    assert [target.version for target in world.endpoints.told] == [1, 2, 3]


def test_the_copied_files_outlive_the_checkpoint(world: World) -> None:
    run = world.train(1.0)
    world.policies.deploy(run.run_id, "cartpole")
    for path in Path(world.store.list_checkpoints(run.run_id)[0].uri).iterdir():
        path.unlink()
    world.policies.look_after()
    assert world.states() == ["serving"]


def test_a_corrupt_checkpoint_is_refused_and_recorded_with_the_reason(world: World) -> None:
    world.serve()
    run = world.train(1.0)
    (Path(world.store.list_checkpoints(run.run_id)[0].uri) / "policy.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointCorrupt, match="altered"):
        world.policies.deploy(run.run_id, "cartpole")
    assert world.states() == ["failed", "serving"]
    assert "altered" in (world.policies.policy("cartpole").versions[0].reason or "")


def test_a_checkpoint_without_a_policy_is_refused_with_the_reason(world: World) -> None:
    described = changed(DESCRIPTION, "policy", None) | {"missing": "the wrapper X may change observations"}
    described["environment"] = None
    with pytest.raises(PolicyUnusable, match="the wrapper X may change observations"):
        world.policies.deploy(world.train(1.0, description=described).run_id, "cartpole")
    assert world.exported == []


def test_one_that_is_not_described_is_tried_as_a_graph_once_and_fails_with_both_reasons(world: World) -> None:
    world.serve()
    described = changed(DESCRIPTION, "policy", None) | {"missing": "a Conv2d cannot be described"}
    version = world.policies.deploy(world.train(1.0, description=described).run_id, "cartpole")
    assert (version.state, version.digest, world.exported) == (PolicyState.LOADING, "", [])
    for _ in range(2):
        world.restarted().look_after()
    assert (world.states(), world.exported) == (["failed", "serving"], [version.checkpoint_id])
    reason = world.policies.policy("cartpole").versions[0].reason or ""
    assert "a Conv2d cannot be described; nor can a graph be made of it: it has a memory" in reason
    assert {target.version for target in world.endpoints.told} == {1}


def test_other_policies_do_not_wait_for_a_graph(world: World) -> None:
    described = changed(DESCRIPTION, "policy", None) | {"missing": "a Conv2d cannot be described"}
    world.policies.deploy(world.train(1.0, description=described).run_id, "a-graph")
    world.policies.deploy(world.train(1.0).run_id, "cartpole")
    world.policies.look_after()
    assert (world.answered_meanwhile, world.states("a-graph")) == ({"cartpole"}, ["failed"])


def test_one_that_fails_its_probe_leaves_the_one_before_untouched(world: World) -> None:
    world.serve()
    bad = weights() | {"b.weight": weights()["b.weight"] * float("nan")}
    world.policies.deploy(world.train(1.0, tensors=bad).run_id, "cartpole")
    world.policies.look_after()
    assert world.states() == ["failed", "serving"]
    assert "not finite" in (world.policies.policy("cartpole").versions[0].reason or "")
    assert [target.version for target in world.endpoints.told] == [1]


def test_an_endpoint_that_does_not_come_up_is_tried_again_and_then_told_of_the_former_version(world: World) -> None:
    world.serve()
    world.endpoints.fails = "no replica"
    world.policies.deploy(world.train(1.0).run_id, "cartpole")
    for _ in range(BRING_UP_ATTEMPTS):
        assert world.states() == ["loading", "serving"]
        world.policies.look_after()
    assert world.states() == ["failed", "serving"]
    world.endpoints.fails = None
    world.policies.look_after()
    assert [target.version for target in world.endpoints.told] == [1, 2, 2, 2, 1]


def test_the_first_version_that_fails_leaves_no_endpoint_behind(world: World) -> None:
    world.endpoints.answering["cartpole"] = None  # type: ignore[assignment]
    bad = weights() | {"b.weight": weights()["b.weight"] * float("nan")}
    world.policies.deploy(world.train(1.0, tensors=bad).run_id, "cartpole")
    world.policies.look_after()
    assert world.states() == ["failed"]
    assert world.endpoints.answering == {}


def test_undeployed_it_answers_no_more_and_is_withdrawn(world: World) -> None:
    world.serve()
    assert world.policies.undeploy("cartpole").version is None
    world.policies.look_after()
    assert world.endpoints.answering == {}
    assert world.states() == ["withdrawn"]
    with pytest.raises(NotFound, match="no deployed policy 'cartpole'"):
        world.policies.undeploy("cartpole")


def test_after_a_restart_what_served_is_told_once_more_and_what_was_withdrawn_is_taken_away(world: World) -> None:
    world.serve()
    world.policies.deploy(world.train(1.0).run_id, "other")
    world.policies.look_after()
    world.policies.undeploy("other")
    restarted = world.restarted()
    assert restarted.policy("cartpole").url is None
    restarted.look_after()
    assert list(world.endpoints.answering) == ["cartpole"]
    assert restarted.policy("cartpole").url == "http://played/policies/cartpole"
    assert world.states() == ["serving"]


def test_what_was_loading_when_the_orchestrator_died_is_loaded_by_the_next_one(world: World) -> None:
    world.policies.deploy(world.train(1.0).run_id, "cartpole")
    world.restarted().look_after()
    assert world.states() == ["serving"]


def test_deployed_files_that_are_gone_after_a_restart_fail_the_version(world: World) -> None:
    world.policies.deploy(world.train(1.0).run_id, "cartpole")
    (world.workspace.policy("cartpole", 1).policy).unlink()
    world.restarted().look_after()
    assert world.states() == ["failed"]


def test_a_file_that_asks_for_it_has_its_run_deployed_once(world: World) -> None:
    world.train(1.0, spec={"deploy": Deployment(name="cartpole")})
    for _ in range(2):
        world.policies.look_after()
    assert world.states() == ["serving"]
    world.policies.undeploy("cartpole")
    world.policies.look_after()
    assert world.states() == ["withdrawn"]


def test_of_a_plugin_that_compares_by_a_metric_of_the_script_the_best_by_that_one_is_deployed(world: World) -> None:
    spec = SPEC.model_copy(update={"deploy": Deployment(name="cartpole"), "plugin": PluginCall(name="sweeper")})
    settings = {"metric": "losses/value", "mode": "min"}
    execution, _ = world.store.begin_execution(spec, plugin="sweeper", settings=settings, digest="d", **SOURCE)
    runs = [world.train(9.0, execution_id=execution.execution_id, member=member) for member in range(2)]
    for run, values in zip(runs, ([1.0, 5.0], [8.0, 4.0]), strict=True):
        archive = ArchiveWriter.open(world.workspace.run(run.name).metrics)
        steps = [TrainingStep(at, at, {"losses/value": value}, 0.0) for at, value in enumerate(values)]
        archive.append([encode_event(step, seq=at, attempt=1) for at, step in enumerate(steps)])
        archive.close()
    world.store.move_execution(execution.execution_id, ExecutionState.COMPLETED)
    world.policies.look_after()
    assert world.policies.policy("cartpole").versions[0].run_id == runs[1].run_id
    with RegistryReader(world.workspace) as reader:
        scores = reader.lineage(execution.experiment).final_scores
        assert scores == {runs[0].run_id: 5.0, runs[1].run_id: 4.0}
        assert reader.lineage(execution.experiment, execution.execution_id).final_scores == scores


def test_of_a_plugin_execution_the_best_run_is_deployed(world: World) -> None:
    spec = SPEC.model_copy(update={"deploy": Deployment(name="cartpole"), "plugin": PluginCall(name="pbt")})
    execution, _ = world.store.begin_execution(spec, plugin="pbt", settings={}, digest="d", **SOURCE)
    runs = [world.train(value, execution_id=execution.execution_id, member=n) for n, value in enumerate([5.0, 9.0])]
    world.policies.look_after()
    assert world.policies.all() == []
    world.store.move_execution(execution.execution_id, ExecutionState.COMPLETED)
    world.policies.look_after()
    assert world.policies.policy("cartpole").versions[0].run_id == runs[1].run_id


def test_a_deployment_that_a_file_asked_for_and_that_failed_is_not_tried_for_ever(world: World) -> None:
    described = changed(DESCRIPTION, "policy", None) | {"missing": "no torch", "environment": None}
    world.train(1.0, spec={"deploy": Deployment(name="cartpole")}, description=described)
    for _ in range(3):
        world.policies.look_after()
    world.restarted().look_after()
    assert world.states() == ["failed"]


def test_a_name_that_no_url_can_hold_is_refused(world: World) -> None:
    with pytest.raises(SpecError, match=r"'\.\./x' is no name for a policy"):
        world.policies.deploy(world.train(1.0).run_id, "../x")


def test_what_is_not_there_cannot_be_deployed(world: World) -> None:
    with pytest.raises(NotFound, match="no run 'nothing'"):
        world.policies.deploy("nothing", "cartpole")
    with pytest.raises(NotFound, match="no checkpoint"):
        world.policies.deploy(world.train().run_id, "cartpole")
    with pytest.raises(NotFound, match="no policy 'cartpole'"):
        world.policies.policy("cartpole")


def test_take_down_leaves_the_registry_as_it_is(world: World) -> None:
    world.serve()
    world.policies.take_down()
    assert world.endpoints.answering == {}
    assert world.states() == ["serving"]


def test_only_endpoints_that_others_can_reach_ask_for_the_gateways_token(workspace: Workspace) -> None:
    opened = Settings(serve_host="0.0.0.0")
    assert endpoint_token(workspace, Settings()) is None
    with pytest.raises(EndpointUnavailable):
        endpoint_token(workspace, Settings(ray_address="10.0.0.1:6379"))
    with pytest.raises(EndpointUnavailable, match="wait for the gateway's token"):
        endpoint_token(workspace, opened)
    address = {"url": "http://h:1", "token": "secret", "pid": 1, "ray_address": "r", "home": "h"}
    write_gateway(workspace.gateway, GatewayAddress(**address, started_at="2026-01-01T00:00:00Z"))
    assert endpoint_token(workspace, opened) == "secret"


def test_the_replica_is_told_only_the_digest_of_the_token(world: World) -> None:
    world.policies = Policies(
        world.workspace, store=world.store, endpoints=world.endpoints, token=lambda: "secret", exporter=world.export
    )
    world.serve()
    told = world.endpoints.told[0]
    assert told.token_digest == hashlib.sha256(b"secret").hexdigest()
    assert "secret" not in told.model_dump_json()
