"""Everything that can die dies at random, for minutes; nothing is lost, and nothing told is untrue."""

from __future__ import annotations

import random
import time
from contextlib import suppress

import psutil
import pytest
from cluster_kit import Arena, ended, start_population
from ray_chaos import victim_of
from waiting import wait_until

from arena_ray.model.records import Lineage
from arena_ray.model.states import RunState

pytestmark = [pytest.mark.ray, pytest.mark.slow]
CHAOS_S = 120.0
PAUSE_S = (1.0, 5.0)
"""Between two kills."""
VICTIMS = ["training"] * 5 + ["guard"] * 2 + ["actor"] * 2 + ["DriverActor", "OrchestratorActor"]


def kill_at_random(arena: Arena, chance: random.Random, *, until_over: list[str]) -> list[str]:
    """Kill for some minutes, or until all these experiments have ended; return what was killed."""
    killed, deadline = [], time.monotonic() + CHAOS_S
    while time.monotonic() < deadline and not all(is_over(arena, experiment) for experiment in until_over):
        time.sleep(chance.uniform(*PAUSE_S))
        kind = chance.choice(VICTIMS)
        with suppress(psutil.Error):
            if victim := victim_of(arena, kind, chance):
                victim.kill()
                killed.append(kind)
    return killed


def is_over(arena: Arena, experiment: str) -> bool:
    execution = arena.client.lineage(experiment).execution
    return execution is not None and execution.state.is_final


def check_steps(arena: Arena, lineage: Lineage, tag: str) -> None:
    for run in lineage.runs:
        assert run.state is RunState.COMPLETED, (run.name, run.reason)
        steps = [step for step, _, _ in arena.client.metrics(run.run_id, tag)[0].points]
        assert steps == list(range(len(steps))), "no step is missing, none was taken twice"
        wait_until(lambda run=run: not arena.processes_naming(run.name), what=f"the end of all that {run.name} started")


def test_a_population_and_a_sweep_survive_what_is_done_to_them(arena: Arena) -> None:
    often = {"every_s": 0.5}
    flags = {"sleep_s": 0.01, "total_timesteps": 1000}
    population = start_population(arena, population=6, cpu=1, flags=flags, checkpoint=often)
    space = {"x": {"uniform": [0.0, 6.0]}}
    plugin = {"name": "hyperparameter_sweeper", "settings": {"num_samples": 6, "param_space": space}}
    keys = {"plugin": plugin, "checkpoint": often, "resources": {"cpu": 1}, "flags": flags}
    sweep = arena.start_plugin("hill.py", **keys)
    killed = kill_at_random(arena, random.Random(20), until_over=[population, sweep])
    assert len(killed) > 10, killed
    for experiment, tag in ((population, "losses/weight"), (sweep, "losses/depth")):
        check_steps(arena, ended(arena, experiment, timeout_s=240), tag)
