"""Runs that hold at milestones, over the orchestrator's inside and without Ray; the driver's part is the tests'."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core_kit import no_host
from played_endpoints import PlayedEndpoints

from arena_ray.model.paths import Workspace
from arena_ray.model.records import Exploit, Milestone, Run
from arena_ray.model.settings import Settings
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import AttemptOutcome, ExploitCause, RunState
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.registry.store import Store
from arena_ray.runner import preflight
from arena_ray.runner.discovery import load_runners
from arena_ray.scheduling.execution_port import ExploitOrder
from arena_ray.scheduling.feasibility import NodeCapacity
from arena_ray.scheduling.milestones import Course, Milestones
from arena_ray.scheduling.supervision import Progress, Supervision
from arena_ray.telemetry.archive import read_metrics
from arena_ray.telemetry.hub import Hub
from arena_ray.testing.plugins import load_plugins

SCRIPTS = Path(__file__).parent / "scripts"
RUNNERS = load_runners().runners
PLUGINS = load_plugins()
DRIVER = "driver"
TIMEOUT_S = 240.0
"""How long a slow machine may take for what takes a fast one a few seconds."""
TAUGHT = 0.04
"""The learning rate that a clone is given with the donor's weights."""
PLUGIN = {
    "name": "pbt",
    "settings": {"perturbation_interval": 1000, "param_space": {"learning_rate": {"loguniform": [1e-4, 0.2]}}},
}


class Drivers:
    """Where drivers would come from."""

    def ensure(self, experiment_id: str) -> None:
        return None


@dataclass
class World:
    """One plugin execution with its runs, its run actors, and the registry, which the tests may look into."""

    core: Orchestrator
    workspace: Workspace
    store: Store
    script: str
    interval: int
    flags: Mapping[str, Any]
    environ: dict[str, str] = field(default_factory=dict)
    opened: list[Supervision] = field(default_factory=list)
    execution_id: str = ""

    def begin(self, experiment: str = "x", **flags: Any) -> str:
        """Begin an execution and return its id."""
        keys = {"experiment": experiment, "runner": "cleanrl", "script": self.script, "env_id": "CartPole-v1"}
        keys |= {"flags": {**self.flags, **flags}, "checkpoint": {"every_s": 60.0}, "plugin": PLUGIN}
        submission = preflight.prepare(ExperimentSpec.model_validate(keys), base=SCRIPTS, runners=RUNNERS)
        execution = self.core.start(submission).execution
        assert execution is not None
        self.core.claim_experiment(execution.experiment_id, driver=DRIVER)
        return execution.execution_id

    def add(self, member: int, rate: float, *, execution_id: str | None = None) -> Run:
        """Queue a run with this learning rate."""
        self.execution_id = self.execution_id or execution_id or self.begin()
        return self.core.executions.add_run(
            execution_id or self.execution_id,
            driver=DRIVER,
            member=member,
            hyperparameters={"learning_rate": rate},
            seed=member,
        )

    def run(self, run: Run) -> Run:
        return self.store.require_run(run.run_id)

    def supervise(self, run: Run, *, interval: int = 0, metric: str = "episodic_return", **environ: str) -> Supervision:
        """Start a run actor, whose training process has *environ*."""
        actor = Supervision(self.core, runners=RUNNERS, node="here", environ={**self.environ, **environ})
        self.opened.append(actor)
        actor.start(run.run_id, course=Course(Milestones(interval=interval or self.interval), metric))
        return actor

    def commit(self, clone: Milestone, donor: Milestone, *, rate: float = TAUGHT) -> ExploitOrder:
        """Decide, as the driver would, that *clone* takes over *donor*."""
        generation = max((one.generation for one in self.exploits(clone.run_id)), default=0) + 1
        exploit = Exploit(
            execution_id=self.execution_id,
            run_id=clone.run_id,
            generation=generation,
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
            hyperparameters_before=self.store.require_run(clone.run_id).hyperparameters,
            hyperparameters={"learning_rate": rate},
            cause=ExploitCause.QUANTILE,
            created_at=datetime.now(UTC),
        )
        return self.core.executions.commit_exploit(exploit, driver=DRIVER)

    def exploits(self, run_id: str) -> list[Exploit]:
        return self.store.list_exploits(run_id=run_id)

    def outcomes(self, run: Run) -> list[AttemptOutcome | None]:
        return [attempt.outcome for attempt in self.store.list_attempts(run.run_id)]

    def points(self, run: Run, tag: str = "losses/weight") -> list[tuple[int, float]]:
        points = read_metrics(self.workspace.run(run.name).metrics)
        return [(point.global_step, point.value) for point in points if point.tag == tag]

    def directory_of(self, checkpoint_id: str) -> Path:
        checkpoint = self.store.get_checkpoint(checkpoint_id)
        assert checkpoint is not None
        return Path(checkpoint.uri)

    def damage(self, checkpoint_id: str) -> None:
        weights = self.directory_of(checkpoint_id) / "policy.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])


@contextmanager
def open_world(workspace: Workspace, script: str, *, interval: int, **flags: Any) -> Iterator[World]:
    """Open the registry of *workspace* for runs of *script* that hold at each *interval*; run actors end with it."""
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
            capacity=lambda: [NodeCapacity("here", cpu=4, gpu=0, memory_gib=8)],
            endpoints=PlayedEndpoints(),
        )
        world = World(core, workspace, store, script, interval, flags)
        try:
            yield world
        finally:
            for actor in world.opened:
                actor.close()
            hub.close()


def until(actor: Supervision, condition: Callable[[Progress], object]) -> Progress:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if condition(progress := actor.advance(0.1)):
            return progress
    raise AssertionError(f"it did not come true within {TIMEOUT_S:g} s")


def held(actor: Supervision, number: int = 1) -> Milestone:
    """Advance until the run holds at the milestone."""
    found = until(actor, lambda progress: progress.milestone or progress.outcome).milestone
    assert found is not None, "it has ended"
    assert found.number == number
    return found


def finish(actor: Supervision) -> RunState | None:
    """Let the run go on at each milestone until this actor leaves it."""

    def has_ended(progress: Progress) -> bool:
        if progress.milestone is not None:
            actor.decide(None)
        return progress.outcome is not None

    return until(actor, has_ended).outcome
