"""Plugins that look at revisions before they are made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from core_kit import PLUGINS, RUNNERS, Drivers
from host_kit import ThreadHost
from played_endpoints import PlayedEndpoints

from arena_ray.model.errors import RevisionRefused, SpecError
from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings
from arena_ray.model.spec import PluginCall
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.plugin import register_plugin
from arena_ray.plugin.registration import plugin_of
from arena_ray.registry.store import Store
from arena_ray.scheduling.feasibility import NodeCapacity
from arena_ray.telemetry.hub import Hub
from arena_ray.testing.plugins import LoadedPlugins


class World:
    """A core with one plugin that looks at revisions."""

    def __init__(self, workspace: Workspace, function: Callable[..., Any], *, is_default: bool = False) -> None:
        mark = register_plugin("careful", "revision", description="looks", enabled_by_default=is_default)
        marked = mark(lambda context, api: function(context, api))
        self.hosts: list[ThreadHost] = []
        self.store, self.hub = Store.open(workspace.registry_url), Hub(workspace)
        self.core = Orchestrator(
            workspace,
            settings=Settings(),
            store=self.store,
            hub=self.hub,
            runners=RUNNERS,
            drivers=Drivers(),
            plugins=LoadedPlugins({**PLUGINS.plugins, "careful": plugin_of(marked)}),
            capacity=lambda: [NodeCapacity("here", cpu=4, gpu=1, memory_gib=8)],
            endpoints=PlayedEndpoints(),
            start_host=self.start,
        )
        self.function = function

    def start(self, name: str) -> ThreadHost:
        self.hosts.append(ThreadHost(self.function))
        return self.hosts[-1]

    def close(self) -> None:
        self.core._gate.close_idle(idle_s=0.0)
        self.store.close()
        self.hub.close()


@pytest.fixture
def world_of(workspace: Workspace) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(function: Callable[..., Any], **keys: Any) -> World:
        worlds.append(World(workspace, function, **keys))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


def too_fast(context: Any, api: Any) -> list[str]:
    rate = context.metadata["hyperparameters"].get("learning_rate", 0.0)
    return [f"a learning_rate of {rate} is too high"] if rate > 0.1 else []


NAMED = {"revision_plugins": [{"name": "careful"}]}


def test_a_revision_that_is_refused_is_not_made_and_nothing_else(world_of, submission_of) -> None:
    world = world_of(too_fast)
    with pytest.raises(RevisionRefused, match=r"^revision refused by plugin careful: a learning_rate of 0\.5 is"):
        world.core.start(submission_of(hyperparameters={"learning_rate": 0.5}, **NAMED))
    assert world.store.list_experiments() == []
    assert world.core.start(submission_of(hyperparameters={"learning_rate": 0.05}, **NAMED)).created


def test_it_is_told_what_is_proposed_and_may_look_at_what_there_is(world_of, submission_of) -> None:
    seen: list[Any] = []

    def look(context: Any, api: Any) -> None:
        seen.append((context.experiment, context.metadata["flags"]["gamma"], len(api.db.experiments.find())))

    world = world_of(look)
    world.core.start(submission_of(hyperparameters={"gamma": 0.9}, **NAMED))
    world.core.start(submission_of(hyperparameters={"gamma": 0.8}, **NAMED))
    world.core.start(submission_of(hyperparameters={"gamma": 0.7}, **NAMED))
    assert seen == [("x", 0.9, 0), ("x", 0.8, 1), ("x", 0.7, 1)]
    assert len(world.hosts) == 2, "one while the experiment had no id, and one that stays"


def test_revisions_of_a_plugin_s_runs_are_looked_at(world_of, submission_of) -> None:
    world = world_of(too_fast)
    settings = {"perturbation_interval": 1000, "param_space": {"learning_rate": {"loguniform": [1e-4, 1e-2]}}}
    execution = world.core.start(submission_of(plugin={"name": "pbt", "settings": settings}, **NAMED)).execution
    world.core.claim_experiment(execution.experiment_id, driver="d")
    with pytest.raises(RevisionRefused):
        world.core.executions.add_run(
            execution.execution_id, driver="d", member=0, hyperparameters={"learning_rate": 0.5}, seed=1
        )
    assert world.store.list_runs() == []


def test_what_is_promoted_is_looked_at(world_of, submission_of) -> None:
    seen: list[str] = []

    def refuse_again(context: Any, api: Any) -> str | None:
        seen.append(context.experiment)
        return "not once more" if len(seen) > 1 else None

    world = world_of(refuse_again, is_default=True)
    run = world.core.start(submission_of(hyperparameters={"learning_rate": 0.05})).run
    with pytest.raises(RevisionRefused, match="not once more"):
        world.core.successors.promote(run.run_id)
    assert len(world.store.list_revisions(run.experiment_id)) == 1


def test_one_that_is_on_by_default_looks_at_every_revision(world_of, submission_of) -> None:
    world = world_of(too_fast, is_default=True)
    with pytest.raises(RevisionRefused):
        world.core.start(submission_of(hyperparameters={"learning_rate": 0.5}))


def test_a_plugin_that_fails_or_hangs_lets_nothing_pass(world_of, submission_of) -> None:
    world = world_of(lambda context, api: 1 // 0)
    with pytest.raises(RevisionRefused, match="careful: it could not look at the revision: ZeroDivisionError"):
        world.core.start(submission_of(**NAMED))
    world.function = lambda context, api: threading.Event().wait()
    world.core._gate.close_idle(idle_s=0.0)
    world.core._gate._timeout_s = 0.05
    with pytest.raises(RevisionRefused, match=r"it took longer than 0\.05 s"):
        world.core.start(submission_of(**NAMED))


def test_it_can_make_nothing(world_of, submission_of) -> None:
    world = world_of(lambda context, api: api.create_run())
    with pytest.raises(RevisionRefused, match="PluginMistake: there is no call 'start_run'"):
        world.core.start(submission_of(**NAMED))


def test_it_is_not_run_on_an_experiment(world_of, submission_of) -> None:
    world = world_of(too_fast)
    world.core.start(submission_of())
    with pytest.raises(SpecError, match="name it under 'revision_plugins' of a file"):
        world.core.run_plugin("x", PluginCall(name="careful"))


def test_one_that_has_changed_on_disk_looks_anew(tmp_path: Path, world_of, submission_of) -> None:
    world = world_of(too_fast)
    world.core._gate._directories = [tmp_path]
    for number in range(2):
        (tmp_path / "careful_plugin.py").write_text("#" * number)
        world.core.start(submission_of(hyperparameters={"gamma": 0.9 + number / 100}, **NAMED))
    assert len(world.hosts) == 2


def test_an_experiment_is_seen_as_soon_as_it_is_there(world_of, submission_of) -> None:
    counts: list[int] = []
    world = world_of(lambda context, api: counts.append(len(api.db.runs.find({}))), is_default=True)
    for seed in range(3):
        world.core.start(submission_of(seed=seed))
    assert counts == [0, 1, 2]
