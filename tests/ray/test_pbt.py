"""Population-based training on real Ray: runs are judged, take over each other's weights in place, and survive."""

from __future__ import annotations

import math

import pytest
from cluster_kit import Arena, wait_until

from arena_ray.model.records import Lineage
from arena_ray.model.states import AttemptOutcome, ExecutionState, ExploitCause, ExploitOutcome, RunState

pytestmark = pytest.mark.ray

SPACE = {"learning_rate": {"loguniform": [1e-4, 0.2]}}


def plugin(**settings: object) -> dict[str, object]:
    given = {"population": 4, "perturbation_interval": 100, "param_space": SPACE, "min_gap": 0.01} | settings
    return {"name": "pbt", "settings": given}


def start(arena: Arena, *, cpu: float = 0.5, flags: dict[str, object] | None = None, **settings: object) -> str:
    """Start a population on the line, and return its experiment's name."""
    return arena.start_plugin(
        "line.py", plugin=plugin(**settings), flags=flags or {}, resources={"cpu": cpu}, checkpoint={"every_s": 60}
    )


def ended(arena: Arena, experiment: str) -> Lineage:
    """Wait for the end of the experiment's plugin, and check what holds of every one that has ended well."""

    def find() -> Lineage | None:
        lineage = arena.client.lineage(experiment)
        assert lineage.execution
        return lineage if lineage.execution.state.is_final else None

    lineage = wait_until(find, what=f"the end of {experiment}")
    assert lineage.execution.state is ExecutionState.COMPLETED, lineage.execution.reason
    check_truth(arena, lineage)
    return lineage


def check_truth(arena: Arena, lineage: Lineage) -> None:
    """Check that what the lineage tells is what the scripts have logged."""
    for run in lineage.runs:
        own = [one for one in lineage.exploits if one.run_id == run.run_id and one.outcome is ExploitOutcome.APPLIED]
        assert run.generation == max((one.generation for one in own), default=0)
        rates = {step: value for step, value, _ in arena.client.metrics(run.run_id, "charts/learning_rate")[0].points}
        for exploit in own:
            until = min((one.global_step for one in own if one.generation > exploit.generation), default=10**9)
            after = [rate for step, rate in rates.items() if exploit.global_step <= step < until]
            assert after == pytest.approx([exploit.hyperparameters["learning_rate"]] * len(after))


def test_the_worst_take_over_the_best_s_weights_and_go_on(arena: Arena) -> None:
    lineage = ended(arena, start(arena))
    assert [run.state for run in lineage.runs] == [RunState.COMPLETED] * 4
    assert {one.outcome for one in lineage.exploits} == {ExploitOutcome.APPLIED}
    [first, *_] = lineage.exploits
    weights = {
        run.run_id: {step: value for step, value, _ in arena.client.metrics(run.run_id, "losses/weight")[0].points}
        for run in lineage.runs
    }
    # The clone's first step is that of the donor's weights: it has moved on from there, and not from its own.
    donor_at = next(one.global_step for one in lineage.milestones if one.checkpoint_id == first.donor_checkpoint_id)
    moved = 2 * first.hyperparameters["learning_rate"] * (3.0 - weights[first.donor_run_id][donor_at - 1])
    expected = weights[first.donor_run_id][donor_at - 1] + moved
    assert weights[first.run_id][first.global_step] == pytest.approx(expected, abs=1e-4)
    attempts = [arena.client.attempts(run.run_id) for run in lineage.runs]
    assert [len(each) for each in attempts] == [1] * 4, "nothing was restarted"


def test_synchronously_all_are_judged_at_the_same_milestones(arena: Arena) -> None:
    lineage = ended(arena, start(arena, synchronous=True))
    assert lineage.exploits
    numbers = {
        run.run_id: [one.number for one in lineage.milestones if one.run_id == run.run_id] for run in lineage.runs
    }
    assert all(each == [1, 2, 3] for each in numbers.values())


def test_a_population_of_eight_shares_four_slots_without_thrash(arena: Arena) -> None:
    lineage = ended(arena, start(arena, cpu=1, population=8, flags={"sleep_s": 0.001}))
    assert [run.state for run in lineage.runs] == [RunState.COMPLETED] * 8
    for run in lineage.runs:
        outcomes = [attempt.outcome for attempt in arena.client.attempts(run.run_id)]
        assert outcomes[-1] is AttemptOutcome.COMPLETED
        assert set(outcomes[:-1]) <= {AttemptOutcome.PREEMPTED}
        assert len(outcomes) - 1 <= 4, "more than one pause in an interval"
    steps = arena.client.metrics(lineage.runs[0].run_id, "losses/weight")[0].points
    assert [step for step, _, _ in steps] == list(range(400)), "resumed exactly"


@pytest.mark.parametrize("victim", ["donor", "clone"])
def test_a_training_killed_around_an_exploit_changes_no_truth(arena: Arena, victim: str) -> None:
    experiment = start(arena, flags={"sleep_s": 0.01})
    lineage = wait_until(lambda: (known := arena.client.lineage(experiment)).exploits and known, what="an exploit")
    exploit = lineage.exploits[0]
    run_id = exploit.run_id if victim == "clone" else exploit.donor_run_id
    arena.training_of(arena.client.run(run_id)).kill()
    lineage = ended(arena, experiment)
    assert [run.state for run in lineage.runs] == [RunState.COMPLETED] * 4


def test_a_killed_driver_loses_no_decision(arena: Arena) -> None:
    experiment = start(arena, flags={"sleep_s": 0.01})
    wait_until(lambda: arena.client.lineage(experiment).milestones, what="a milestone")
    arena.kill_services("DriverActor")
    lineage = ended(arena, experiment)
    assert [run.state for run in lineage.runs] == [RunState.COMPLETED] * 4


def test_a_diverged_run_is_replaced(arena: Arena) -> None:
    space = {"learning_rate": {"choice": [0.01, 0.02, 0.5]}}
    lineage = ended(arena, start(arena, population=6, cpu=0.25, param_space=space, flags={"diverge_above": 0.1}))
    diverged = [one for one in lineage.exploits if one.cause is ExploitCause.DIVERGED]
    assert {one.hyperparameters_before["learning_rate"] for one in diverged} == {0.5}
    assert all(math.isnan(one.score) and math.isfinite(one.donor_score) for one in diverged)


def test_one_slot_at_a_time_the_same_seed_gives_the_same_lineage_and_weights(arena: Arena) -> None:
    def once() -> tuple[list[tuple[object, ...]], list[str]]:
        lineage = ended(arena, start(arena, cpu=4, population=3, flags={"sleep_s": 0, "total_timesteps": 250}))
        member = {run.run_id: run.member for run in lineage.runs}
        told = [
            (member[one.run_id], member[one.donor_run_id], one.global_step, one.donor_milestone, one.hyperparameters)
            for one in lineage.exploits
        ]
        return told, [arena.client.checkpoints(run.run_id)[0].policy_digest for run in lineage.runs]

    first, second = once(), once()
    assert first == second
    assert first[0]
