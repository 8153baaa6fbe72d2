"""Whatever is killed for ten minutes, a sweep by a function and a population end as if nothing had happened."""

from __future__ import annotations

import os
import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from cluster_kit import Arena, ended, start_population
from ray_chaos import victim_of
from waiting import wait_until

from arena_ray.model.records import Execution
from arena_ray.model.states import ExecutionState

pytestmark = [pytest.mark.ray, pytest.mark.slow]
CHAOS_S = float(os.environ.get("CHAOS_S", "600"))
PAUSE_S = (0.5, 4.0)
VICTIMS = ["host"] * 4 + ["training"] * 4 + ["actor"] * 2 + ["DriverActor"] * 2 + ["OrchestratorActor"] * 2
SWEEP = """
from .core import register_plugin

@register_plugin(name="cube", scope="experiment", description="three by three by three")
def cube(context, api):
    best, ranking = None, []
    for rate in (0.01, 0.02, 0.05):
        for width in (1, 2, 3):
            api.create_revision_with_hyperparameters(f"{rate} {width}", {"learning_rate": rate, "width": width})
            runs = [api.create_run(seed=seed) for seed in (1, 2, 3)]
            ends = api.wait_for_completion(runs)
            rewards = [run.get_reward() for run in runs]
            api.add_note(f"{rate} {width}: {sorted(ends.values())} {[round(reward, 6) for reward in rewards]}")
            ranking.append((sum(rewards), rate, width))
    reward, rate, width = max(ranking)
    api.create_revision("best", hyperparameters=api.mutate_config({"learning_rate": rate}, 0.0), notes=f"{reward:.6f}")
    api.add_note(f"best: {rate} {width}", key="best")
"""


def host_of(arena: Arena) -> list[psutil.Process]:
    """Return the processes in which functions of plugins run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            is_host = words[-2:-1] == ["arena_ray.host"] and "guard.py" not in " ".join(words)
            if is_host and Path(process.cwd()) == arena.workspace.home:
                found.append(process)
    return found


def kill_one(arena: Arena, chance: random.Random) -> str | None:
    kind = chance.choice(VICTIMS)
    with suppress(psutil.Error):
        hosts = host_of(arena)
        victim = (chance.choice(hosts) if hosts else None) if kind == "host" else victim_of(arena, kind, chance)
        if victim is not None:
            victim.kill()
            return kind
    return None


def start_sweep(arena: Arena) -> str:
    return arena.start_plugin(
        "line.py",
        plugin={"name": "cube", "settings": {}},
        flags={"total_timesteps": 60, "sleep_s": 0.01, "noise": 2.0},
        checkpoint={"every_s": 0.3},
        resources={"cpu": 0.5},
    )


def start_pbt(arena: Arena) -> str:
    return start_population(
        arena,
        population=4,
        perturbation_interval=50,
        synchronous=True,
        flags={"total_timesteps": 300, "sleep_s": 0.01},
        checkpoint={"every_s": 0.3},
    )


def execution_of(arena: Arena, experiment: str) -> Execution:
    return arena.client.executions(experiment)[0]


def sweep_outcome(arena: Arena, experiment: str) -> dict[str, Any]:
    execution = execution_of(arena, experiment)
    assert execution.state is ExecutionState.COMPLETED, execution.reason
    certificate = arena.client.certificate(experiment)
    return {
        "certificate": (certificate.problems, certificate.digest(), len(certificate.cells), certificate.expected),
        "notes": [note.text for note in arena.client.notes(experiment)],
        "revisions": [(each.name, each.hyperparameters, each.notes) for each in arena.client.revisions(experiment)],
    }


def pbt_outcome(arena: Arena, experiment: str) -> dict[str, Any]:
    lineage = ended(arena, experiment)
    member = {run.run_id: run.member for run in lineage.runs}
    exploits = [
        (
            one.global_step,
            member[one.run_id],
            member[one.donor_run_id],
            one.generation,
            sorted(one.hyperparameters.items()),
        )
        for one in lineage.exploits
    ]
    milestones = {(member[one.run_id], one.number): one.score for one in lineage.milestones}
    weights = [arena.client.checkpoints(run.run_id)[0].policy_digest for run in lineage.runs]
    return {"exploits": sorted(exploits), "milestones": milestones, "weights": weights}


def test_what_is_killed_changes_neither_certificate_nor_notes_nor_lineage(arena: Arena) -> None:
    arena.workspace.plugins.mkdir(exist_ok=True)
    (arena.workspace.plugins / "cube_plugin.py").write_text(SWEEP)
    wanted: dict[str, Any] = {}
    for kind, start, outcome in (("sweep", start_sweep, sweep_outcome), ("pbt", start_pbt, pbt_outcome)):
        experiment = start(arena)
        wait_until(
            lambda experiment=experiment: execution_of(arena, experiment).state.is_final,
            timeout_s=400,
            what=f"the end of {experiment}",
        )
        wanted[kind] = outcome(arena, experiment)
    assert wanted["sweep"]["certificate"][0] == []
    assert wanted["sweep"]["certificate"][2:] == (27, 27)
    assert wanted["pbt"]["exploits"]

    chance, killed, rounds = random.Random(6), [], 0
    deadline = time.monotonic() + CHAOS_S
    while time.monotonic() < deadline:
        rounds += 1
        sweep, population = start_sweep(arena), start_pbt(arena)
        while not all(execution_of(arena, each).state.is_final for each in (sweep, population)):
            time.sleep(chance.uniform(*PAUSE_S))
            if time.monotonic() < deadline:
                killed.append(kill_one(arena, chance))
        assert sweep_outcome(arena, sweep) == wanted["sweep"], killed
        assert pbt_outcome(arena, population) == wanted["pbt"], killed
    told = {kind: killed.count(kind) for kind in dict.fromkeys(VICTIMS)}
    print(f"{rounds} sweeps and populations, {sum(told.values())} kills: {told}")
    (arena.workspace.plugins / "cube_plugin.py").unlink()
