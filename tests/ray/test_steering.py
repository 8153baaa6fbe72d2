from __future__ import annotations

import pytest
from cluster_kit import RAISED, Arena
from hurry import Hurry
from waiting import wait_until

from arena_ray.model.errors import InfeasibleResources, NotFound, UnknownEnvironment
from arena_ray.model.records import Run
from arena_ray.model.states import Intent, RunState

LONG = {"flags": {"total_timesteps": 100_000, "sleep_s": 0.005}, "checkpoint": {"every_s": 600}}


def free_cpus(arena: Arena) -> float:
    return sum(node.cpu_free for node in arena.client.cluster().nodes)


def test_a_stopped_run_keeps_a_checkpoint_and_gives_its_resources_back(arena: Arena) -> None:
    wait_until(lambda: free_cpus(arena) == 4, what="an idle cluster")
    run = arena.start(**LONG, resources={"cpu": 1.5, "gpu": 0.5})
    arena.wait_for_step(run, 20)
    wait_until(lambda: free_cpus(arena) == 2.5, what="CPUs that are taken")
    assert arena.client.stop_run(run.run_id).run.intent is Intent.STOP
    ended = arena.wait_for(run, RunState.STOPPED)
    assert ended.reason == "stopped by the user"
    assert arena.client.checkpoints(run.run_id)[0].global_step >= 20
    wait_until(lambda: free_cpus(arena) == 4, what="free CPUs")


def test_a_paused_run_gives_its_resources_back_and_goes_on_where_it_was(arena: Arena) -> None:
    wait_until(lambda: free_cpus(arena) == 4, what="an idle cluster")
    hurry = Hurry(arena.workspace.home)
    run = arena.start(flags=hurry.flags(passes=1200))
    arena.wait_for_step(run, 5)
    arena.client.pause_run(run.run_id)
    paused = arena.wait_for(run, RunState.PAUSED)
    wait_until(lambda: free_cpus(arena) == 4, what="free CPUs")
    assert not arena.processes_naming(str(arena.workspace.run(run.name).root))
    hurry.now()
    arena.client.resume_run(run.run_id)
    ended = arena.complete(run)
    assert ended.attempt == 2
    assert arena.client.attempts(run.run_id)[1].resumed_from is not None
    steps = [step for step, _, _ in arena.client.metrics(run.run_id, "losses/weight")[0].points]
    assert steps == list(range(1200))
    assert paused.global_step < 1200


def test_stop_now_says_what_is_lost(arena: Arena) -> None:
    run = arena.start(**LONG)
    arena.wait_for_step(run, 20)
    reply = arena.client.stop_run(run.run_id, now=True)
    assert "steps 0 to" in (reply.lost or "")
    arena.wait_for(run, RunState.STOPPED)


def test_a_script_that_raises_fails_with_its_last_words_and_is_not_tried_again(arena: Arena) -> None:
    run = arena.start(flags={"raise_at": 7, "sleep_s": 0.01})
    ended = wait_until(lambda: (now := arena.run(run)).state.is_final and now)
    assert (ended.state, ended.attempt) == (RunState.FAILED, 1)
    assert ended.reason.startswith(RAISED)
    assert "Traceback" in ended.reason


def test_no_child_of_a_script_outlives_its_run(arena: Arena) -> None:
    hurry = Hurry(arena.workspace.home)
    run = arena.start(flags={**hurry.flags(), "children": 2})
    arena.wait_for_step(run, 1)
    assert len(arena.training_of(run).children()) == 2
    hurry.now()
    arena.complete(run)
    wait_until(lambda: not arena.processes_naming(str(arena.workspace.run(run.name).root)), what="a quiet machine")


def test_what_no_node_can_give_is_refused_at_once(arena: Arena) -> None:
    with pytest.raises(InfeasibleResources, match="gpu 4"):
        arena.start(experiment="too-large", resources={"gpu": 5})
    with pytest.raises(NotFound):
        arena.client.experiment("too-large")


def test_an_unknown_environment_is_refused_before_anything_starts(arena: Arena) -> None:
    with pytest.raises(UnknownEnvironment, match="did you mean 'CartPole-v1'"):
        arena.start("ppo", experiment="typo", env_id="Cartpole-v1")
    with pytest.raises(NotFound):
        arena.client.experiment("typo")


@pytest.fixture(scope="module")
def by_gpu(arena: Arena) -> dict[float, Run]:
    """Runs that have completed side by side, by how many GPUs each has reserved."""
    keys = {"experiment": "by-gpu", "flags": {"total_timesteps": 10}, "force_new": True}
    runs = {gpu: arena.start(resources={"cpu": 1, "gpu": gpu}, **keys) for gpu in (0, 0.5, 2)}
    return {gpu: arena.complete(run) for gpu, run in runs.items()}


def test_the_log_holds_what_the_script_printed(arena: Arena, by_gpu: dict[float, Run]) -> None:
    log = arena.client.stream_log(by_gpu[2].run_id, follow=False)
    lines = {(line["stream"], line["text"].split()[0]) for line in log}
    assert {("stdout", "devices"), ("stderr", "done")} <= lines


@pytest.mark.parametrize(("gpu", "devices"), [(0, 0), (0.5, 1), (2, 2)])
def test_the_training_sees_the_gpus_it_reserved_and_no_other(
    arena: Arena, by_gpu: dict[float, Run], gpu: float, devices: int
) -> None:
    log = arena.client.stream_log(by_gpu[gpu].run_id, follow=False)
    [told] = [line["text"] for line in log if "devices" in line["text"]]
    visible = told.split()[1].strip("'")
    assert len([device for device in visible.split(",") if device]) == devices
