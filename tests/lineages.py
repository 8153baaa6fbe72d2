"""Populations as the registry would tell of them, made up: four runs of which one takes over another, twice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from arena_ray.model.records import Execution, Exploit, Lineage, Milestone, Run
from arena_ray.model.spec import ExperimentSpec, Resources
from arena_ray.model.states import ExecutionState, ExploitCause, ExploitOutcome, RunState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = {
    "population": 4,
    "metric": "episodic_return",
    "mode": "max",
    "param_space": {"learning_rate": {"loguniform": [1e-4, 1e-2]}, "ent_coef": {"uniform": [0, 0.05]}},
}
SPEC = ExperimentSpec(experiment="race", runner="cleanrl", script="ppo", env_id="CartPole-v1")


def execution_of(state: ExecutionState = ExecutionState.COMPLETED, **settings: Any) -> Execution:
    return Execution(
        execution_id="x1",
        experiment_id="e1",
        experiment="race",
        plugin="pbt",
        settings=SETTINGS | settings,
        spec=SPEC,
        state=state,
        created_at=NOW,
    )


def member(number: int, mean_return: float, state: RunState = RunState.COMPLETED, **changes: Any) -> Run:
    values: dict[str, Any] = {
        "run_id": f"run{number}",
        "name": f"CartPole-v1__ppo__{number}__1700000000",
        "experiment_id": "e1",
        "experiment": "race",
        "revision_id": "r1",
        "revision": 1,
        "runner": "cleanrl",
        "script": "ppo",
        "env_id": "CartPole-v1",
        "seed": number,
        "attempt": 1,
        "global_step": 100_352,
        "steps_per_second": 850.0,
        "resources": Resources(cpu=0.5),
        "created_at": NOW,
        "execution_id": "x1",
        "hyperparameters": {"gamma": 0.98, "learning_rate": 0.001, "ent_coef": 0.01},
    }
    return Run(state=state, episodic_return=mean_return, member=number, **(values | changes))


def exploit_of(clone: int, donor: int, *, generation: int = 1, step: int = 20_480, **changes: Any) -> Exploit:
    values: dict[str, Any] = {
        "milestone": step // 10_000,
        "boundary": step // 512,
        "score": 61.0,
        "donor_generation": 0,
        "donor_milestone": step // 10_000,
        "donor_checkpoint_id": "c1",
        "donor_digest": "d" * 64,
        "donor_score": 214.0,
        "hyperparameters_before": {"learning_rate": 0.00031, "ent_coef": 0.01},
        "hyperparameters": {"learning_rate": 0.00037, "ent_coef": 0.01},
        "cause": ExploitCause.QUANTILE,
        "outcome": ExploitOutcome.APPLIED,
        "created_at": NOW,
    }
    run_ids = {"run_id": f"run{clone}", "donor_run_id": f"run{donor}"}
    return Exploit(execution_id="x1", generation=generation, global_step=step, **run_ids, **(values | changes))


def milestone(number: int, score: float, *, at: int = 1) -> Milestone:
    return Milestone(
        run_id=f"run{number}",
        number=at,
        generation=0,
        boundary=at,
        global_step=at,
        score=score,
        checkpoint_id="c",
        created_at=NOW,
    )


def lineage_of(
    *runs: Run,
    execution: Execution | None = None,
    exploits: list[Exploit] | None = None,
    milestones: list[Milestone] | None = None,
) -> Lineage:
    return Lineage(
        experiment="race",
        execution=execution or execution_of(),
        runs=list(runs),
        milestones=milestones or [],
        exploits=exploits or [],
    )


def race() -> Lineage:
    """Run 2 takes over run 0, then run 1 takes over run 2: the winner has been in three runs."""
    second = {"hyperparameters": {"learning_rate": 0.0005, "ent_coef": 0.02}}
    return lineage_of(
        member(0, 120.0, hyperparameters={"gamma": 0.98, "learning_rate": 0.002, "ent_coef": 0.01}),
        member(1, 500.0, generation=1, **second),
        member(2, 480.0, generation=1),
        member(3, 9.5, RunState.FAILED, global_step=3000),
        exploits=[
            exploit_of(2, 0),
            exploit_of(1, 2, step=40_960, donor_generation=1, score=101.0, donor_score=333.0, **second),
        ],
    )


def scheduled() -> Lineage:
    """One run that changed by a schedule."""
    first = {"learning_rate": 0.00031, "ent_coef": 0.01}
    schedule = [
        {"step": 0, "hyperparameters": first},
        {"step": 20_480, "hyperparameters": {"learning_rate": 0.00037}},
    ]
    execution = execution_of(param_space=None, schedule=schedule)
    changed = exploit_of(0, 0, cause=ExploitCause.SCHEDULE)
    return lineage_of(member(0, 1.0, generation=1), execution=execution, exploits=[changed])
