"""Population-based training on real Ray: runs are judged, take over each other's weights in place, and survive."""

from __future__ import annotations

import math

import pytest
from cluster_kit import Arena, ended, start_population
from hurry import Hurry
from waiting import wait_until

from arena_ray.model.records import Lineage
from arena_ray.model.states import AttemptOutcome, ExploitCause, ExploitOutcome, RunState

pytestmark = pytest.mark.ray


def weights_of(arena: Arena, run_id: str) -> dict[int, float]:
    return {step: value for step, value, _ in arena.client.metrics(run_id, "losses/weight")[0].points}


def judged(arena: Arena, experiment: str) -> set[str]:
    return {one.run_id for one in arena.client.lineage(experiment).milestones}


def check_all_completed(lineage: Lineage) -> None:
    assert {run.state for run in lineage.runs} == {RunState.COMPLETED}
    assert {one.outcome for one in lineage.exploits} <= {ExploitOutcome.APPLIED}


def check_that_clones_went_on_from_their_donors(arena: Arena, lineage: Lineage) -> None:
    """Check the first step of each clone: it is that of the donor's weights, and not of its own."""
    reached = {one.checkpoint_id: one for one in lineage.milestones}
    for exploit in lineage.exploits:
        donor, clone = weights_of(arena, exploit.donor_run_id), weights_of(arena, exploit.run_id)
        before = donor[reached[exploit.donor_checkpoint_id].global_step - 1]
        expected = before + 2 * exploit.hyperparameters["learning_rate"] * (3.0 - before)
        assert clone[exploit.global_step] == pytest.approx(expected, abs=1e-4)


def test_the_worst_take_over_the_best_s_weights_in_place_and_go_on(arena: Arena) -> None:
    hurry = Hurry(arena.workspace.home)
    experiment = start_population(arena, perturbation_interval=20, flags=hurry.flags(passes=160))
    wait_until(lambda: len(judged(arena, experiment)) == 4, what="a milestone of each")
    hurry.now()
    lineage = ended(arena, experiment)
    check_all_completed(lineage)
    assert lineage.exploits
    check_that_clones_went_on_from_their_donors(arena, lineage)
    attempts = [arena.client.attempts(run.run_id) for run in lineage.runs]
    assert [len(each) for each in attempts] == [1] * 4, "nothing was restarted"


def check_slices(arena: Arena, lineage: Lineage, *, steps: int, most_pauses: int) -> None:
    """Check that runs went on exactly where they had given way, and that none did so twice in an interval."""
    check_all_completed(lineage)
    for run in lineage.runs:
        outcomes = [attempt.outcome for attempt in arena.client.attempts(run.run_id)]
        assert outcomes[-1] is AttemptOutcome.COMPLETED
        assert set(outcomes[:-1]) <= {AttemptOutcome.PREEMPTED}
        assert len(outcomes) - 1 <= most_pauses, "more than one pause in an interval"
        assert list(weights_of(arena, run.run_id)) == list(range(steps))
    assert any(run.attempt > 1 for run in lineage.runs)


def test_a_population_of_eight_shares_four_slots(arena: Arena) -> None:
    flags = {"sleep_s": 0, "total_timesteps": 200}
    lineage = ended(arena, start_population(arena, cpu=1, population=8, flags=flags))
    check_slices(arena, lineage, steps=200, most_pauses=2)


@pytest.mark.slow
def test_a_population_of_eight_shares_four_slots_for_longer_without_thrash(arena: Arena) -> None:
    lineage = ended(arena, start_population(arena, cpu=1, population=8))
    check_slices(arena, lineage, steps=400, most_pauses=4)


def test_kills_around_an_exploit_change_no_truth(arena: Arena) -> None:
    hurry = Hurry(arena.workspace.home)
    experiment = start_population(
        arena, population=3, perturbation_interval=50, flags=hurry.flags(passes=500, sleep_s=0.08)
    )
    lineage = wait_until(lambda: (known := arena.client.lineage(experiment)).exploits and known, what="an exploit")
    for run_id in (lineage.exploits[0].run_id, lineage.exploits[0].donor_run_id):
        arena.training_of(arena.client.run(run_id)).kill()
    arena.kill_services("DriverActor")
    hurry.now()
    lineage = ended(arena, experiment)
    check_all_completed(lineage)
    check_that_clones_went_on_from_their_donors(arena, lineage)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["training", "guard", "actor"])
def test_whatever_is_killed_of_a_clone_the_exploit_is_carried_out(arena: Arena, victim: str) -> None:
    experiment = start_population(arena, flags={"sleep_s": 0.01})
    lineage = wait_until(lambda: (known := arena.client.lineage(experiment)).exploits and known, what="an exploit")
    getattr(arena, f"{victim}_of")(arena.client.run(lineage.exploits[0].run_id)).kill()
    lineage = ended(arena, experiment)
    check_all_completed(lineage)
    check_that_clones_went_on_from_their_donors(arena, lineage)


@pytest.mark.slow
def test_synchronously_all_are_judged_at_the_same_milestones(arena: Arena) -> None:
    lineage = ended(arena, start_population(arena, synchronous=True))
    assert lineage.exploits
    numbers = {
        run.run_id: [one.number for one in lineage.milestones if one.run_id == run.run_id] for run in lineage.runs
    }
    assert all(each == [1, 2, 3] for each in numbers.values())


@pytest.mark.slow
def test_a_diverged_run_is_replaced(arena: Arena) -> None:
    space = {"learning_rate": {"choice": [0.01, 0.02, 0.5]}}
    flags = {"diverge_above": 0.1}
    lineage = ended(arena, start_population(arena, population=6, cpu=0.25, param_space=space, flags=flags))
    diverged = [one for one in lineage.exploits if one.cause is ExploitCause.DIVERGED]
    assert {one.hyperparameters_before["learning_rate"] for one in diverged} == {0.5}
    assert all(math.isnan(one.score) and math.isfinite(one.donor_score) for one in diverged)


@pytest.mark.slow
@pytest.mark.parametrize("explore", ["perturb", "pb2"])
def test_one_slot_at_a_time_the_same_seed_gives_the_same_lineage_and_weights(arena: Arena, explore: str) -> None:
    def once() -> tuple[list[tuple[object, ...]], list[str]]:
        flags = {"sleep_s": 0, "total_timesteps": 250}
        settings = {"explore": explore, "perturbation_interval": 40}
        lineage = ended(arena, start_population(arena, cpu=4, population=3, flags=flags, **settings), timeout_s=300)
        member = {run.run_id: run.member for run in lineage.runs}
        told = [
            (member[one.run_id], member[one.donor_run_id], one.global_step, one.donor_milestone, one.hyperparameters)
            for one in lineage.exploits
        ]
        return told, [arena.client.checkpoints(run.run_id)[0].policy_digest for run in lineage.runs]

    first, second = once(), once()
    assert first == second
    assert first[0]
