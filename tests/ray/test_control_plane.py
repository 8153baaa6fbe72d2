"""Kill what steers the runs: none is lost, none is doubled."""

from __future__ import annotations

import pytest
from cluster_kit import Arena

from arena_ray.model.states import RunState

LONG = {"flags": {"total_timesteps": 400, "sleep_s": 0.03}, "checkpoint": {"every_s": 0.5}}


@pytest.mark.parametrize("service", ["OrchestratorActor", "DriverActor", "GatewayActor"])
def test_a_run_goes_on_when_a_service_is_killed(arena: Arena, service: str) -> None:
    run = arena.start(**LONG)
    arena.wait_for_step(run, 60)
    arena.kill_services(service)
    ended = arena.complete(run)
    attempts = arena.client.attempts(run.run_id)
    assert len(attempts) == ended.attempt == (2 if service == "DriverActor" else 1)
    steps = arena.client.metrics(run.run_id, "losses/weight")[0].points
    assert [step for step, _, _ in steps] == list(range(400))


def test_two_experiments_do_not_disturb_each_other(arena: Arena) -> None:
    runs = [arena.start(seed=seed, flags={"total_timesteps": 300}) for seed in (1, 2)]
    arena.wait_for_step(runs[0], 10)
    arena.client.stop_run(runs[0].run_id)
    arena.wait_for(runs[0], RunState.STOPPED)
    arena.complete(runs[1])
    assert len(arena.client.metrics(runs[1].run_id, "losses/weight")[0].points) == 300


def test_runs_started_in_one_second_share_no_directory(arena: Arena) -> None:
    runs = [arena.start(experiment="same", force_new=True, flags={"total_timesteps": 20}) for _ in range(3)]
    ended = [arena.complete(run) for run in runs]
    assert len({arena.workspace.run(run.name).root for run in ended}) == 3
    assert len({run.name for run in ended}) == 3
