"""Kill whatever takes part in a run, and compare with a run that nobody disturbed."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest
from cluster_kit import Arena
from hurry import Hurry
from resume_state import differences
from waiting import wait_until

from arena_ray.model.records import Run
from arena_ray.model.states import AttemptOutcome
from arena_ray.telemetry.archive import read_metrics

OFTEN = {"every_s": 0.5}


def rows(arena: Arena, run: Run) -> list[tuple[str, int, float]]:
    """Return every metric row that counts, but for what tells of the clock."""
    points = read_metrics(arena.workspace.run(run.name).metrics)
    return [(point.tag, point.global_step, point.value) for point in points if point.tag != "charts/SPS"]


def final_of(arena: Arena, run: Run):
    [final] = [checkpoint for checkpoint in arena.client.checkpoints(run.run_id) if checkpoint.is_final]
    return final


def test_runs_survive_the_death_of_training_guard_and_actor(arena: Arena) -> None:
    hurry = Hurry(arena.workspace.home)
    keys = {"experiment": "survivors", "flags": hurry.flags(passes=600), "checkpoint": OFTEN}
    disturbed = {victim: arena.start(force_new=True, **keys) for victim in ("training", "guard", "actor")}
    undisturbed = arena.start(force_new=True, **keys)
    for attempt in (1, 2):
        for victim, run in disturbed.items():
            arena.wait_for_step(run, 10 * attempt, attempt=attempt)
            arena.wait_for_checkpoint(run)
            getattr(arena, f"{victim}_of")(run).send_signal(signal.SIGKILL)
    for run in disturbed.values():
        wait_until(lambda run=run: arena.run(run).attempt == 3, what=f"another attempt of {run.name}")
    hurry.now()
    expected = arena.complete(undisturbed)
    assert len(rows(arena, expected)) == 660
    for run in disturbed.values():
        ended = arena.complete(run)
        outcomes = [attempt.outcome for attempt in arena.client.attempts(run.run_id)]
        assert outcomes == [AttemptOutcome.LOST, AttemptOutcome.LOST, AttemptOutcome.COMPLETED]
        assert rows(arena, ended) == rows(arena, expected)
        assert final_of(arena, ended).metrics_digest == final_of(arena, expected).metrics_digest


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        ("ppo", {"total_timesteps": 45_000}),
        ("dqn", {"total_timesteps": 24_000, "learning_starts": 1_000}),
    ],
)
def test_weights_and_every_metric_row_equal_the_uninterrupted_run_s(arena: Arena, script: str, flags: dict) -> None:
    keys = {"experiment": f"{script}-twice", "script": script, "flags": flags, "checkpoint": {"every_s": 0.7}}
    undisturbed, disturbed = (arena.start(force_new=True, **keys) for _ in range(2))
    chance = random.Random(script)
    total = flags["total_timesteps"]
    for part, victim in enumerate(chance.sample(["training", "guard", "actor"], k=3), start=1):
        arena.wait_for_step(disturbed, total * part // 6 + chance.randrange(total // 12), attempt=part)
        arena.wait_for_checkpoint(disturbed)
        getattr(arena, f"{victim}_of")(disturbed).send_signal(signal.SIGKILL)
    ended, expected = arena.complete(disturbed, timeout_s=400), arena.complete(undisturbed, timeout_s=400)
    assert ended.attempt == 4
    assert [a.resumed_from is not None for a in arena.client.attempts(ended.run_id)] == [False, True, True, True]
    assert rows(arena, ended) == rows(arena, expected)
    # Optimizer, generators, environments, replay buffer, counters: every captured value.
    assert differences(Path(final_of(arena, ended).uri), Path(final_of(arena, expected).uri)) == []
    assert final_of(arena, ended).policy_digest == final_of(arena, expected).policy_digest
    assert final_of(arena, ended).metrics_digest == final_of(arena, expected).metrics_digest
