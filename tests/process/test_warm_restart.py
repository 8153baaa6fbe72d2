"""A run that takes over what is fixed while its script runs: real trainings under the harness, without Ray.

The driver's part is played by the tests.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from core_kit import no_host
from holding import DRIVER, PLUGINS, RUNNERS, SCRIPTS, held, until
from played_endpoints import PlayedEndpoints
from registry_kit import write_empty_registry

from arena_ray.model.paths import Workspace
from arena_ray.model.records import Checkpoint, Exploit, Milestone, Run
from arena_ray.model.settings import Settings
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import AttemptOutcome, ExploitCause, ExploitOutcome, RunState
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.registry.store import Store
from arena_ray.runner import preflight
from arena_ray.scheduling.execution_port import ExploitOrder
from arena_ray.scheduling.feasibility import NodeCapacity
from arena_ray.scheduling.milestones import Course, Milestones
from arena_ray.scheduling.supervision import Supervision
from arena_ray.telemetry.archive import read_log, read_metrics
from arena_ray.telemetry.hub import Hub


class Drivers:
    def ensure(self, experiment_id: str) -> None:
        """Nothing: the tests drive."""


@dataclass
class World:
    """One plugin execution, its run actors, and the registry."""

    workspace: Workspace
    store: Store
    core: Orchestrator
    opened: list[Supervision] = field(default_factory=list)
    execution_id: str = ""

    def begin(self, script: str, *, space: Mapping[str, object], **flags: object) -> None:
        plugin = {"perturbation_interval": 1, "allow_restart": True, "param_space": space}
        keys = {"experiment": "x", "runner": "cleanrl", "script": script, "env_id": "CartPole-v1", "flags": flags}
        keys |= {"plugin": {"name": "pbt", "settings": plugin}, "checkpoint": {"every_s": 60.0}}
        submission = preflight.prepare(ExperimentSpec.model_validate(keys), base=SCRIPTS, runners=RUNNERS)
        execution = self.core.start(submission).execution
        assert execution
        self.core.claim_experiment(execution.experiment_id, driver=DRIVER)
        self.execution_id = execution.execution_id

    def add(self, member: int, **hyperparameters: Any) -> Run:
        executions = self.core.executions
        return executions.add_run(
            self.execution_id, driver=DRIVER, member=member, hyperparameters=hyperparameters, seed=member
        )

    def supervise(self, run: Run, *, interval: int) -> Supervision:
        actor = Supervision(self.core, runners=RUNNERS, node="here")
        self.opened.append(actor)
        actor.start(run.run_id, course=Course(Milestones(interval=interval), "charts/learning_rate"))
        return actor

    def commit(self, clone: Milestone, donor: Milestone, **hyperparameters: Any) -> ExploitOrder:
        exploit = Exploit(
            execution_id=self.execution_id,
            run_id=clone.run_id,
            generation=1,
            milestone=clone.number,
            boundary=clone.boundary,
            global_step=clone.global_step,
            score=clone.score,
            donor_run_id=donor.run_id,
            donor_generation=donor.generation,
            donor_milestone=donor.number,
            donor_checkpoint_id=donor.checkpoint_id,
            donor_digest="",
            donor_score=donor.score,
            hyperparameters_before=self.run(clone.run_id).hyperparameters,
            hyperparameters=hyperparameters,
            cause=ExploitCause.QUANTILE,
            created_at=datetime.now(UTC),
        )
        return self.core.executions.commit_exploit(exploit, driver=DRIVER)

    def run(self, run_id: str) -> Run:
        return self.store.require_run(run_id)

    def exploit(self, run: Run) -> Exploit:
        [exploit] = self.store.list_exploits(run_id=run.run_id)
        return exploit

    def checkpoints(self, run: Run, *, generation: int) -> list[Checkpoint]:
        return [one for one in self.store.list_checkpoints(run.run_id) if one.generation == generation]

    def outcomes(self, run: Run) -> list[AttemptOutcome | None]:
        return [attempt.outcome for attempt in self.store.list_attempts(run.run_id)]

    def points(self, run: Run, tag: str) -> list[tuple[int, float]]:
        points = read_metrics(self.workspace.run(run.name).metrics)
        return [(point.global_step, point.value) for point in points if point.tag == tag]

    def notes(self, run: Run) -> list[str]:
        return [line["text"] for line in read_log(self.workspace.run(run.name).log).lines if line["stream"] == "arena"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    workspace = Workspace(tmp_path)
    write_empty_registry(workspace.registry)
    with Store.open(workspace.registry_url) as store:
        hub = Hub(workspace)
        core = Orchestrator(
            workspace,
            settings=Settings(max_lost_attempts=3),
            store=store,
            hub=hub,
            runners=RUNNERS,
            drivers=Drivers(),
            plugins=PLUGINS,
            start_host=no_host,
            capacity=lambda: [NodeCapacity("here", cpu=4, gpu=1, memory_gib=8)],
            endpoints=PlayedEndpoints(),
        )
        world = World(workspace, store, core)
        yield world
        for actor in world.opened:
            actor.close()
        hub.close()


def test_ppo_takes_over_another_length_of_its_batches(world: World) -> None:
    """Killed in the middle of it, it starts anew once more; killed afterwards, it goes on from there."""
    space = {"num_steps": {"choice": [64, 128]}, "learning_rate": {"uniform": [0, 1]}}
    world.begin("ppo", space=space, total_timesteps=2048)
    donor, clone = (world.add(member, num_steps=64, learning_rate=0.001) for member in (0, 1))
    giving, actor = (world.supervise(run, interval=1024) for run in (donor, clone))
    given, milestone = held(giving), held(actor)
    giving.leave()
    assert (milestone.boundary, milestone.global_step) == (4, 1024)

    actor.decide(world.commit(milestone, given, num_steps=128, learning_rate=0.004))
    assert world.outcomes(clone) == [AttemptOutcome.PREEMPTED, None]
    reason = f"starts anew with num_steps 128: generation 1 from run {donor.run_id}"
    assert world.store.list_attempts(clone.run_id)[0].reason == reason
    until(actor, lambda _: actor.training_pid)
    os.kill(actor.training_pid or 0, signal.SIGKILL)
    until(actor, lambda _: world.checkpoints(clone, generation=1))
    os.kill(actor.training_pid or 0, signal.SIGKILL)
    assert until(actor, lambda progress: progress.outcome).outcome is RunState.COMPLETED

    lost, preempted = AttemptOutcome.LOST, AttemptOutcome.PREEMPTED
    assert world.outcomes(clone) == [preempted, lost, lost, AttemptOutcome.COMPLETED]
    exploit = world.exploit(clone)
    assert (exploit.outcome, exploit.reason) == (ExploitOutcome.APPLIED, "warm restart: num_steps 64 → 128")
    run = world.run(clone.run_id)
    assert (run.generation, run.hyperparameters["num_steps"], run.global_step) == (1, 128, 2048)
    taken = world.checkpoints(clone, generation=1)[-1]
    [donated] = [one for one in world.store.list_checkpoints(donor.run_id) if one.checkpoint_id == given.checkpoint_id]
    assert (taken.boundary, taken.global_step, taken.policy_digest) == (4, 1024, donated.policy_digest)
    # 256 steps a pass before and 512 after; what is annealed over the training goes on in between.
    assert dict(world.points(clone, "charts/learning_rate")) == pytest.approx(
        {256: 0.001, 512: 0.000875, 768: 0.00075, 1024: 0.000625, 1536: 0.002, 2048: 0.001}
    )
    told = "starts anew with num_steps 64 → 128: this cannot be changed while the script runs; resume is warm"
    assert world.notes(clone).count(told) == 2


def test_weights_that_do_not_fit_leave_the_run_as_it_was(world: World) -> None:
    world.begin("line.py", space={"width": {"choice": [1, 2]}}, total_timesteps=150, sleep_s=0)
    run = world.add(0, width=1)
    actor = world.supervise(run, interval=100)
    milestone = held(actor)
    actor.decide(world.commit(milestone, milestone, width=2))

    assert until(actor, lambda progress: progress.outcome).outcome is RunState.COMPLETED
    expected = "could not start anew with width 1 → 2: the checkpoint does not fit this script: agent.weight is "
    exploit = world.exploit(run)
    assert exploit.outcome is ExploitOutcome.FAILED
    assert (exploit.reason or "").startswith(expected)
    preempted = AttemptOutcome.PREEMPTED
    assert world.outcomes(run) == [preempted, preempted, AttemptOutcome.COMPLETED]
    assert (world.run(run.run_id).generation, world.run(run.run_id).hyperparameters) == (0, {"width": 1})
    assert [step for step, _ in world.points(run, "losses/weight")] == list(range(150))
