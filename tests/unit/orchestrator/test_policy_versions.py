"""Versions that act by a graph: recorded before it is made, made once, and only ever made here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from unit.orchestrator.test_policies import World
from unit.serving.conftest import DESCRIPTION, changed, make_checkpoint

from arena_ray.model.errors import ArenaError, IllegalTransition, PolicyUnusable
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Checkpoint
from arena_ray.model.states import PolicyState
from arena_ray.orchestrator.policy_versions import Versions
from arena_ray.runner.graph_export import ExportedGraph
from arena_ray.serving.policy import Policy
from arena_ray.serving.policy_files import read_deployed

__all__ = ["make_checkpoint"]

GRAPH = {
    "kind": "graph",
    "act": "output",
    "module": "agent",
    "observation": [],
    "dtype": "float32",
    "takes_batches": True,
    "torch": "2.0",
    "action": [],
}
UNREAD = changed(DESCRIPTION, "policy", None) | {"missing": "a Conv2d cannot be described"}


class Exporter:
    """Makes graphs that nobody can read, and counts them."""

    def __init__(self) -> None:
        self.count = 0
        self.fails: Exception | None = None

    def __call__(self, checkpoint: Checkpoint) -> ExportedGraph:
        self.count += 1
        if self.fails:
            raise self.fails
        return ExportedGraph(DESCRIPTION["environment"], GRAPH, b"graph %d" % self.count)


@pytest.fixture
def exporter() -> Exporter:
    return Exporter()


@pytest.fixture
def world(workspace: Workspace, make_checkpoint: Callable[..., Checkpoint]):
    world = World(workspace, make_checkpoint)
    yield world
    world.store.close()


@pytest.fixture
def versions(world: World, exporter: Exporter) -> Versions:
    return Versions(world.workspace, store=world.store, exporter=exporter)


def checkpoint_of(world: World, description: dict = UNREAD) -> Checkpoint:
    return world.store.list_checkpoints(world.train(1.0, description=description).run_id)[0]


def test_its_digest_is_recorded_with_the_files_once_its_graph_is_made(world: World, versions: Versions) -> None:
    recorded = versions.record(checkpoint_of(world), "pixels")
    assert (recorded.state, recorded.digest) == (PolicyState.LOADING, "")
    complete = versions.complete(recorded)
    files = read_deployed(world.workspace.policy("pixels", 1).root, digest=complete.digest)
    assert (files.digest(), files.graph) == (complete.digest, b"graph 1")
    assert complete == world.store.list_policy_versions(name="pixels")[0]


def test_a_graph_is_made_once_for_a_checkpoint_as_long_as_it_is_unaltered(
    world: World, versions: Versions, exporter: Exporter
) -> None:
    checkpoint = checkpoint_of(world)
    first = versions.complete(versions.record(checkpoint, "a"))
    assert versions.record(checkpoint, "a").version == first.version
    assert versions.complete(versions.record(checkpoint, "b")).digest == first.digest
    assert exporter.count == 1
    for name in ("a", "b"):
        world.workspace.policy(name, 1).graph.write_bytes(b"another graph")
    assert versions.complete(versions.record(checkpoint, "c")).digest != first.digest
    assert exporter.count == 2


def test_a_checkpoint_that_names_a_graph_of_its_own_is_refused(
    world: World, versions: Versions, exporter: Exporter
) -> None:
    checkpoint = checkpoint_of(world, {**changed(DESCRIPTION, "policy", GRAPH), "schema_version": 4})
    (Path(checkpoint.uri) / "policy.pt2").write_bytes(b"from elsewhere")
    with pytest.raises(PolicyUnusable, match="only graphs that were made here are ever read"):
        versions.record(checkpoint, "pixels")
    assert [one.state for one in world.store.list_policy_versions()] == [PolicyState.FAILED]
    assert exporter.count == 0


def test_one_that_was_withdrawn_meanwhile_is_not_completed(world: World, versions: Versions) -> None:
    recorded = versions.record(checkpoint_of(world), "pixels")
    world.store.move_policy_version("pixels", 1, PolicyState.WITHDRAWN)
    with pytest.raises(IllegalTransition, match="version 1 of policy pixels is withdrawn"):
        versions.complete(recorded)
    assert world.store.list_policy_versions()[0].digest == ""


@pytest.mark.parametrize("failure", [ArenaError("its environment is gone"), OSError("its environment is gone")])
def test_whatever_else_stands_in_the_way_of_a_graph_is_the_reason(
    world: World, versions: Versions, exporter: Exporter, failure: Exception
) -> None:
    exporter.fails = failure
    with pytest.raises(PolicyUnusable, match="no graph could be made of it: its environment is gone"):
        versions.complete(versions.record(checkpoint_of(world), "pixels"))


def test_a_graph_is_read_only_with_the_digest_that_was_recorded(world: World, versions: Versions) -> None:
    complete = versions.complete(versions.record(checkpoint_of(world), "pixels"))
    files = world.workspace.policy("pixels", 1)
    for change in (lambda: files.graph.write_bytes(b"another"), files.graph.unlink):
        change()
        with pytest.raises(PolicyUnusable, match="its files are not those that were deployed"):
            Policy.load(files.root, digest=complete.digest)
