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

import arena_ray
from arena_ray.model.records import Checkpoint, Run
from arena_ray.model.spec import ExperimentSpec
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

    def submit_told(self, *, bundle: str = "bundle-1", force_new: bool = False, **spec: Any) -> tuple[Run, bool]:
        fields = {"experiment": "first", "runner": "cleanrl", "script": "ppo", "env_id": "CartPole-v1"} | spec
        made = ExperimentSpec(**fields)
        flags = made.flags | made.hyperparameters
        return self.store.submit(made, flags=flags, script=made.script, bundle=bundle, force_new=force_new)

    def begin(self, run: Run, *, node: str = "node-a", resumed_from: str | None = None) -> int:
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
