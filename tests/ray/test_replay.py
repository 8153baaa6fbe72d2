"""Schedules on real Ray: one run changes its hyperparameters at the steps that are given, whatever dies meanwhile."""

from __future__ import annotations

import pytest
from cluster_kit import Arena, ended, start_population
from hurry import Hurry
from waiting import wait_until

from arena_ray.model.ancestry import schedule_of
from arena_ray.model.records import Run
from arena_ray.model.states import ExecutionState, ExploitCause, ExploitOutcome, RunState

pytestmark = pytest.mark.ray


def start_schedule(arena: Arena, rates: dict[int, float], *, flags: dict[str, object], every_s: float = 60) -> str:
    schedule = [{"step": step, "hyperparameters": {"learning_rate": rate}} for step, rate in rates.items()]
    plugin = {"name": "replay_schedule", "settings": {"schedule": schedule}}
    keys = {"resources": {"cpu": 1}, "checkpoint": {"every_s": every_s}, "seed": 5}
    return arena.start_plugin("line.py", plugin=plugin, flags=flags, **keys)


def rates_of(arena: Arena, run: Run) -> dict[int, float]:
    return {step: value for step, value, _ in arena.client.metrics(run.run_id, "charts/learning_rate")[0].points}


def weights_by(rates: dict[int, float], *, first: float, passes: int) -> list[float]:
    """Return what line.py's weight is after each pass that begins with the weight *first* after pass 0."""
    weights = [first]
    for step in range(1, passes):
        rate = rates[max(at for at in rates if at <= step)]
        weights.append(weights[-1] + 2 * rate * (3.0 - weights[-1]))
    return weights


def test_a_schedule_is_followed_through_kills_of_training_and_driver(arena: Arena) -> None:
    hurry = Hurry(arena.workspace.home)
    rates = {0: 0.001, 8: 0.01, 60: 0.002}
    experiment = start_schedule(arena, rates, flags=hurry.flags(passes=400, sleep_s=0.1), every_s=1)
    [run] = wait_until(lambda: arena.client.runs(experiment=experiment), what="a run")
    wait_until(lambda: arena.client.lineage(experiment).exploits, what="a change")
    arena.training_of(run).kill()
    arena.kill_services("DriverActor")
    hurry.now()
    lineage = ended(arena, experiment)
    [run] = lineage.runs
    assert (run.state, run.seed, run.generation) == (RunState.COMPLETED, 5, 2)
    told = [(one.cause, one.outcome, one.global_step, one.donor_run_id) for one in lineage.exploits]
    assert told == [(ExploitCause.SCHEDULE, ExploitOutcome.APPLIED, step, run.run_id) for step in (8, 60)]
    seen = rates_of(arena, run)
    assert [seen[step] for step in (0, 7, 8, 59, 60, 399)] == pytest.approx([0.001, 0.001, 0.01, 0.01, 0.002, 0.002])
    logged = {step: value for step, value, _ in arena.client.metrics(run.run_id, "losses/weight")[0].points}
    expected = weights_by(rates, first=logged[0], passes=400)
    assert [logged[step] for step in range(400)] == pytest.approx(expected, abs=1e-5), "nothing but the rate changed"


@pytest.mark.slow
def test_a_run_that_ends_before_its_last_change_fails_its_schedule(arena: Arena) -> None:
    flags = {"total_timesteps": 30, "sleep_s": 0}
    lineage = ended(arena, start_schedule(arena, {0: 0.01, 90: 0.02}, flags=flags), ExecutionState.FAILED)
    assert lineage.execution is not None
    assert "the run ended without the last values of learning_rate" in str(lineage.execution.reason)


@pytest.mark.slow
def test_the_winner_of_a_population_is_replayed_and_promoted(arena: Arena) -> None:
    flags = {"sleep_s": 0, "total_timesteps": 250}
    experiment = start_population(arena, cpu=4, population=3, flags=flags)
    population = ended(arena, experiment)
    [winner, *_] = sorted(population.runs, key=lambda run: (-run.generation, -run.episodic_return))
    schedule = schedule_of(population, winner)
    assert schedule.steps, "it took something over"
    promoted = arena.client.promote(winner.run_id)
    assert promoted.hyperparameters["learning_rate"] == winner.hyperparameters["learning_rate"]
    reply = arena.client.replay_schedule(winner.run_id, seed=9)
    assert reply.execution is not None
    replay = ended(arena, experiment)
    assert replay.execution == arena.client.executions(experiment)[0]
    assert replay.execution.execution_id == reply.execution.execution_id
    [run] = replay.runs
    assert (run.seed, run.state) == (9, RunState.COMPLETED)
    assert schedule_of(replay, run) == schedule
    seen = rates_of(arena, run)
    for count, step in enumerate((0, *schedule.steps)):
        assert seen[step] == pytest.approx(schedule.after(count)["learning_rate"])
