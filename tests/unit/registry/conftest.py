"""A store in a fresh directory, whose clock moves only when it is told to."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from registry_kit import write_empty_registry

import arena_ray
from arena_ray.model.records import Checkpoint, Execution, Exploit, Milestone, Run
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import AttemptOutcome, ExploitCause, RunState
from arena_ray.registry.store import Store


@dataclass
class HandClock:
    now: datetime = field(default=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Bench:
    """The store under test, with the arguments that a test does not care about filled in."""

    store: Store
    path: Path
    clock: HandClock

    def submit(self, *, bundle: str = "bundle-1", force_new: bool = True, **spec: Any) -> Run:
        return self.submit_told(bundle=bundle, force_new=force_new, **spec)[0]

    def submit_told(
        self,
        *,
        bundle: str = "bundle-1",
        force_new: bool = False,
        execution_id: str | None = None,
        member: int | None = None,
        **spec: Any,
    ) -> tuple[Run, bool]:
        fields = {"experiment": "first", "runner": "cleanrl", "script": "ppo", "env_id": "CartPole-v1"} | spec
        made = ExperimentSpec(**fields)
        return self.store.submit(
            made,
            flags=made.flags | made.hyperparameters,
            script=made.script,
            bundle=bundle,
            force_new=force_new,
            execution_id=execution_id,
            member=member,
        )

    def begin(self, run: Run, *, node: str = "node-a", resumed_from: str | None = None) -> int:
        return self.store.begin_attempt(run.run_id, node=node, resumed_from=resumed_from).number

    def begin_next(self, run: Run, *, node: str = "node-a", resumed_from: str | None = None) -> int:
        """Begin an attempt after the one that is under way, which is lost."""
        self.store.end_attempt(
            run.run_id, attempt=self.store.require_run(run.run_id).attempt, outcome=AttemptOutcome.LOST
        )
        self.store.move_run(run.run_id, RunState.QUEUED)
        return self.store.begin_attempt(run.run_id, node=node, resumed_from=resumed_from).number

    def progress(self, run: Run, *, attempt: int = 1, global_step: int = 128, **fields: Any) -> Any:
        known = {"boundary": 1, "episodic_return": math.nan, "steps_per_second": math.nan} | fields
        return self.store.record_progress(run.run_id, attempt=attempt, global_step=global_step, **known)

    def checkpoint(self, run: Run, *, attempt: int = 1, boundary: int = 1, **fields: Any) -> Checkpoint:
        known: dict[str, Any] = {
            "global_step": boundary * 128,
            "uri": f"file:///checkpoints/{run.name}/{boundary}",
            "digest": f"digest-{boundary}",
            "policy_digest": f"policy-{boundary}",
            "metrics_digest": f"metrics-{boundary}",
            "size_bytes": 4096,
            "episodic_return": math.nan,
            "is_final": False,
        } | fields
        return self.store.add_checkpoint(run.run_id, attempt=attempt, boundary=boundary, **known)

    def execute(self, *, digest: str = "digest-1", force_new: bool = False, **spec: Any) -> tuple[Execution, bool]:
        fields = {"experiment": "first", "runner": "cleanrl", "script": "ppo", "env_id": "CartPole-v1"} | spec
        return self.store.begin_execution(
            ExperimentSpec(**fields),
            plugin="pbt",
            settings={"population": 2},
            digest=digest,
            flags={"total_timesteps": 1000},
            script="ppo",
            bundle="bundle-1",
            force_new=force_new,
        )

    def population(self, size: int = 2) -> list[Run]:
        """Runs of one execution, each in its first attempt."""
        execution, _ = self.execute()
        seat = {"execution_id": execution.execution_id, "hyperparameters": {"learning_rate": 0.001, "gamma": 0.9}}
        members = [self.submit_told(member=member, **seat)[0] for member in range(size)]
        for member in members:
            self.begin(member)
        return members

    def milestone(self, run: Run, *, number: int = 1, attempt: int = 1, score: float = 1.0, **fields: Any) -> Milestone:
        """The run holds at a milestone, with a checkpoint of its generation."""
        generation = self.store.require_run(run.run_id).generation
        checkpoint = self.checkpoint(run, attempt=attempt, boundary=number * 10, generation=generation)
        known: dict[str, Any] = {
            "boundary": checkpoint.boundary,
            "global_step": checkpoint.global_step,
            "checkpoint_id": checkpoint.checkpoint_id,
        } | fields
        return self.store.add_milestone(run.run_id, attempt=attempt, number=number, score=score, **known)

    def exploit(self, clone: Milestone, donor: Milestone, *, generation: int = 1, **fields: Any) -> Exploit:
        """What a driver decides: the clone takes over the donor. It is not recorded yet."""
        run = self.store.require_run(clone.run_id)
        known: dict[str, Any] = {
            "execution_id": run.execution_id,
            "run_id": clone.run_id,
            "generation": generation,
            "milestone": clone.number,
            "boundary": clone.boundary,
            "global_step": clone.global_step,
            "score": clone.score,
            "donor_run_id": donor.run_id,
            "donor_generation": donor.generation,
            "donor_milestone": donor.number,
            "donor_checkpoint_id": donor.checkpoint_id,
            "donor_digest": "digest",
            "donor_score": donor.score,
            "hyperparameters_before": run.hyperparameters,
            "hyperparameters": {"learning_rate": 0.001 * (generation + 1)},
            "cause": ExploitCause.QUANTILE,
            "created_at": self.clock(),
        }
        return Exploit(**(known | fields))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the file itself, past the store."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    path, clock = tmp_path / "var" / "training" / "registry.sqlite3", HandClock()
    write_empty_registry(path)
    with Store.open(f"sqlite:///{path}", clock=clock) as store:
        yield Bench(store, path, clock)


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One store for all examples of a law."""
    path, clock = tmp_path_factory.mktemp("law") / "registry.sqlite3", HandClock()
    with Store.open(f"sqlite:///{path}", clock=clock) as store:
        yield Bench(store, path, clock)


@pytest.fixture
def child_env() -> dict[str, str]:
    """The environment of a child process that imports the same arena_ray."""
    return os.environ | {"PYTHONPATH": str(Path(arena_ray.__file__).parents[1])}


@pytest.fixture
def spec_of() -> Callable[..., ExperimentSpec]:
    def make(**fields: Any) -> ExperimentSpec:
        known = {"experiment": "first", "runner": "cleanrl", "script": "ppo", "env_id": "CartPole-v1"}
        return ExperimentSpec(**(known | fields))

    return make
