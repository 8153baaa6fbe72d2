"""Kill what steers the runs: none is lost, none is doubled."""

from __future__ import annotations

from cluster_kit import Arena
from hurry import Hurry

from arena_ray.model.states import RunState

SERVICES = ["GatewayActor", "OrchestratorActor", "DriverActor"]
PASSES = 1_200


def test_a_run_goes_on_whichever_service_is_killed(arena: Arena) -> None:
    hurry = Hurry(arena.workspace.home)
    run = arena.start(flags=hurry.flags(passes=PASSES), checkpoint={"every_s": 0.5})
    for service in SERVICES:
        arena.wait_for_step(run, arena.run(run).global_step + 5)
        arena.kill_services(service)
    arena.wait_for_step(run, 1, attempt=2)
    hurry.now()
    ended = arena.complete(run)
    # Only the driver's death takes the run's actor along.
    assert len(arena.client.attempts(run.run_id)) == ended.attempt == 2
    steps = arena.client.metrics(run.run_id, "losses/weight")[0].points
    assert [step for step, _, _ in steps] == list(range(PASSES))


def test_two_experiments_do_not_disturb_each_other(arena: Arena) -> None:
    hurry = Hurry(arena.workspace.home)
    runs = [arena.start(seed=seed, flags=hurry.flags(passes=300)) for seed in (1, 2)]
    arena.wait_for_step(runs[0], 5)
    arena.client.stop_run(runs[0].run_id)
    arena.wait_for(runs[0], RunState.STOPPED)
    hurry.now()
    arena.complete(runs[1])
    assert len(arena.client.metrics(runs[1].run_id, "losses/weight")[0].points) == 300


def test_runs_started_in_one_second_share_no_directory(arena: Arena) -> None:
    runs = [arena.start(experiment="same", force_new=True, flags={"total_timesteps": 20}) for _ in range(3)]
    ended = [arena.complete(run) for run in runs]
    assert len({arena.workspace.run(run.name).root for run in ended}) == 3
    assert len({run.name for run in ended}) == 3
