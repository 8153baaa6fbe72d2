"""Runs that hold at milestones, and everything that can go wrong with an exploit, against the orchestrator's inside.

Under the run actors is a trainer that stands in for line.py under the harness (line_on_wire.py): no torch is imported,
and a process can be told to die between two commands. The driver's part is played by the tests.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from holding import SCRIPTS, TAUGHT, World, finish, held, open_world, until
from stats_kit import KEEPS, InstallWriter, install_writer

from arena_ray.model.paths import Workspace
from arena_ray.model.records import Milestone, Run
from arena_ray.model.states import AttemptOutcome, ExploitOutcome, RunState
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.runner import outbox
from arena_ray.scheduling import supervision as supervising
from arena_ray.scheduling.supervision import Supervision

__all__ = ["install_writer"]

INTERVAL = 20
STEPS = 50
CLONE, DONOR = 0.001, 0.05
"""Learning rates with which the two runs begin."""


def trained(weight: float, rate: float, passes: int) -> list[float]:
    """Return the weight after each pass."""
    found = []
    for _ in range(passes):
        weight += 2 * rate * (3.0 - weight)
        found.append(weight)
    return found


ALONE = trained(0.0, CLONE, STEPS)
"""What the clone logs if it takes nothing over."""
TAKEN_OVER = [*ALONE[:INTERVAL], *trained(trained(0.0, DONOR, INTERVAL)[-1], TAUGHT, STEPS - INTERVAL)]
"""What it logs if it takes over the donor at the first milestone."""


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "REPORT_INTERVAL_S", 0.02)
    monkeypatch.setattr(supervising, "HARNESS", SCRIPTS / "line_on_wire.py")


@pytest.fixture
def world(workspace: Workspace, tmp_path: Path) -> Iterator[World]:
    with open_world(workspace, "line.py", interval=INTERVAL, total_timesteps=STEPS) as world:
        world.environ["ONCE"] = str(tmp_path / "once")
        yield world


@dataclass
class Pair:
    """Two runs that hold at the first milestone; the clone's actor is alive, the donor's is gone."""

    clone: Run
    actor: Supervision
    milestone: Milestone
    donor: Milestone


@pytest.fixture
def pair_of(world: World) -> Callable[..., Pair]:
    def make(**environ: str) -> Pair:
        donor, clone = world.add(0, DONOR), world.add(1, CLONE)
        giving, actor = world.supervise(donor), world.supervise(clone, **environ)
        given = held(giving)
        giving.leave()
        return Pair(clone, actor, held(actor), given)

    return make


def check_taken_over(world: World, clone: Run) -> None:
    """Check that the clone has taken over the donor once, at its first milestone, and that the registry says so."""
    assert world.points(clone) == list(enumerate(TAKEN_OVER))
    rates = dict(world.points(clone, "charts/learning_rate"))
    assert [rates[step] for step in (INTERVAL - 1, INTERVAL)] == [CLONE, TAUGHT]
    [exploit] = world.exploits(clone.run_id)
    assert (exploit.outcome, exploit.reason) == (ExploitOutcome.APPLIED, None)
    run = world.run(clone)
    assert (run.state, run.generation, run.hyperparameters["learning_rate"]) == (RunState.COMPLETED, 1, TAUGHT)


def check_alone(world: World, clone: Run, outcome: ExploitOutcome, reason: str) -> None:
    """Check that the clone has trained to its end with weights and hyperparameters of its own."""
    assert world.points(clone) == list(enumerate(ALONE))
    [exploit] = world.exploits(clone.run_id)
    assert exploit.outcome is outcome
    assert reason in (exploit.reason or "")
    run = world.run(clone)
    assert (run.state, run.generation, run.hyperparameters["learning_rate"]) == (RunState.COMPLETED, 0, CLONE)


def test_a_run_takes_over_another_one_where_it_holds(world: World, pair_of) -> None:
    pair = pair_of()
    pair.actor.decide(world.commit(pair.milestone, pair.donor))
    assert finish(pair.actor) is RunState.COMPLETED
    check_taken_over(world, pair.clone)
    assert world.outcomes(pair.clone) == [AttemptOutcome.COMPLETED]


def test_stats_writers_are_told_what_an_exploit_changes(world: World, pair_of, install_writer: InstallWriter) -> None:
    install_writer("keeps", KEEPS)
    pair = pair_of()
    pair.actor.decide(world.commit(pair.milestone, pair.donor))
    assert finish(pair.actor) is RunState.COMPLETED
    rows = map(json.loads, (world.workspace.run(pair.clone.name).root / "kept.jsonl").read_text().splitlines())
    rates = [row[3]["learning_rate"] for row in rows if row[0] == "property"]
    assert rates == [CLONE, TAUGHT]


@pytest.mark.parametrize("kind", ["loaded", "set_done"])
def test_a_training_killed_in_the_middle_of_an_exploit_carries_it_out_in_its_next_attempt(
    world: World, pair_of, kind: str
) -> None:
    pair = pair_of(DIE_AFTER=kind)
    pair.actor.decide(world.commit(pair.milestone, pair.donor))
    assert finish(pair.actor) is RunState.COMPLETED
    check_taken_over(world, pair.clone)
    assert world.outcomes(pair.clone) == [AttemptOutcome.LOST, AttemptOutcome.COMPLETED]


def test_a_new_actor_carries_out_what_was_committed_before_its_time(world: World, pair_of) -> None:
    pair = pair_of()
    world.commit(pair.milestone, pair.donor)
    pair.actor.close()  # before the order reached it
    assert finish(world.supervise(pair.clone)) is RunState.COMPLETED
    check_taken_over(world, pair.clone)


def test_an_exploit_that_was_applied_and_not_settled_is_applied_again_and_settled_once(world: World, pair_of) -> None:
    pair = pair_of()
    order = world.commit(pair.milestone, pair.donor)

    def die() -> None:
        raise KeyboardInterrupt

    ambush(world.core, "executions.settle_exploit", die)
    with pytest.raises(KeyboardInterrupt):
        pair.actor.decide(order)
    assert [one.outcome for one in world.exploits(pair.clone.run_id)] == [ExploitOutcome.COMMITTED]
    pair.actor.close()
    assert finish(world.supervise(pair.clone)) is RunState.COMPLETED
    check_taken_over(world, pair.clone)


def test_a_decision_that_comes_while_the_next_attempt_starts_is_carried_out_where_it_holds_again(
    world: World, pair_of
) -> None:
    pair = pair_of()
    pair.actor.close()
    successor = world.supervise(pair.clone)  # it has its assignment already
    successor.decide(world.commit(pair.milestone, pair.donor))
    assert finish(successor) is RunState.COMPLETED
    check_taken_over(world, pair.clone)


def test_a_damaged_donor_fails_the_exploit_and_the_run_goes_on_as_it_is(world: World, pair_of) -> None:
    pair = pair_of()
    world.damage(pair.donor.checkpoint_id)
    pair.actor.decide(world.commit(pair.milestone, pair.donor))
    assert finish(pair.actor) is RunState.COMPLETED
    check_alone(world, pair.clone, ExploitOutcome.FAILED, "policy.safetensors was altered or is cut short")


def test_a_donor_that_cannot_be_read_fails_the_exploit(world: World, pair_of) -> None:
    pair = pair_of()
    order = world.commit(pair.milestone, pair.donor)
    assert order.checkpoint is not None
    state = Path(order.checkpoint.uri) / "state.json"
    state.unlink()
    state.mkdir()
    pair.actor.decide(order)
    assert finish(pair.actor) is RunState.COMPLETED
    check_alone(world, pair.clone, ExploitOutcome.FAILED, "Is a directory")


def test_an_exploit_whose_donor_was_removed_is_abandoned(world: World, pair_of) -> None:
    pair = pair_of()
    world.store.remove_checkpoint(pair.donor.checkpoint_id, reason="by hand")
    pair.actor.decide(world.commit(pair.milestone, pair.donor))
    assert finish(pair.actor) is RunState.COMPLETED
    check_alone(world, pair.clone, ExploitOutcome.ABANDONED, "the donor's checkpoint has been removed")


def test_a_donor_of_another_shape_is_refused_with_the_reason(world: World, pair_of) -> None:
    pair = pair_of()
    wide = world.supervise(world.add(0, DONOR, execution_id=world.begin("wide", width=2)))
    pair.actor.decide(world.commit(pair.milestone, held(wide)))
    assert finish(pair.actor) is RunState.COMPLETED
    check_alone(world, pair.clone, ExploitOutcome.FAILED, "agent.weight is [2] there and [1] here")


@pytest.mark.parametrize(("command", "attempts"), [("load", 1), ("set", 2)])
def test_a_training_that_refuses_keeps_its_own_weights(world: World, pair_of, command: str, attempts: int) -> None:
    pair = pair_of(REFUSE=command)
    pair.actor.decide(world.commit(pair.milestone, pair.donor))
    assert finish(pair.actor) is RunState.COMPLETED
    check_alone(world, pair.clone, ExploitOutcome.FAILED, "told to refuse")
    assert len(world.outcomes(pair.clone)) == attempts


def test_a_checkpoint_that_cannot_be_written_lets_the_run_go_on_unjudged(world: World) -> None:
    run = world.add(0, CLONE)
    actor = world.supervise(run, NO_DISK="yes")
    assert held(actor, number=2).global_step == 2 * INTERVAL
    assert finish(actor) is RunState.COMPLETED
    assert world.points(run) == list(enumerate(ALONE))
    assert [one.number for one in world.store.list_milestones(world.execution_id)] == [2]


def test_a_run_that_gives_way_holds_there_again_and_trains_nothing_twice(world: World) -> None:
    run = world.add(0, CLONE)
    actor = world.supervise(run)
    first = held(actor)
    actor.leave()
    assert actor.progress().outcome is RunState.QUEUED
    assert (world.run(run).state, world.outcomes(run)) == (RunState.QUEUED, [AttemptOutcome.PREEMPTED])
    again = world.supervise(run)
    assert held(again) == first
    assert finish(again) is RunState.COMPLETED
    assert world.points(run) == list(enumerate(ALONE))
    assert world.outcomes(run) == [AttemptOutcome.PREEMPTED, AttemptOutcome.COMPLETED]


def test_a_run_that_gave_way_finds_its_exploit_when_it_is_back(world: World, pair_of) -> None:
    pair = pair_of()
    pair.actor.leave()
    world.commit(pair.milestone, pair.donor)
    assert finish(world.supervise(pair.clone)) is RunState.COMPLETED
    check_taken_over(world, pair.clone)
    assert world.outcomes(pair.clone) == [AttemptOutcome.PREEMPTED, AttemptOutcome.COMPLETED]


def test_a_run_that_trains_gives_way_to_nobody(world: World) -> None:
    actor = world.supervise(world.add(0, CLONE))
    actor.leave()
    assert held(actor).number == 1


def test_a_run_paused_while_it_holds_is_judged_there_when_it_goes_on(world: World, pair_of) -> None:
    pair = pair_of()
    world.core.runs.pause(pair.clone.run_id)
    assert until(pair.actor, lambda progress: progress.outcome).outcome is RunState.PAUSED
    world.core.runs.resume(pair.clone.run_id)
    again = world.supervise(pair.clone)
    again.decide(world.commit(held(again), pair.donor))
    assert finish(again) is RunState.COMPLETED
    check_taken_over(world, pair.clone)


@pytest.mark.parametrize("environ", [{}, {"LINGER": "yes"}])
def test_a_run_paused_after_an_exploit_was_decided_keeps_it(world: World, pair_of, environ: dict[str, str]) -> None:
    pair = pair_of(**environ)
    world.core.runs.pause(pair.clone.run_id)
    pair.actor.decide(world.commit(pair.milestone, pair.donor))
    assert until(pair.actor, lambda progress: progress.outcome).outcome is RunState.PAUSED
    newest = world.store.list_checkpoints(pair.clone.run_id)[0]
    assert newest.generation == 1
    assert (newest.boundary == INTERVAL) == bool(environ), "perhaps it is paused where it took over"
    world.core.runs.resume(pair.clone.run_id)
    again = world.supervise(pair.clone)
    since = [TAKEN_OVER[step] for step in range(INTERVAL, 2 * INTERVAL, 5)]
    assert held(again, number=2).score == pytest.approx(math.fsum(since) / len(since))
    assert finish(again) is RunState.COMPLETED
    check_taken_over(world, pair.clone)


@pytest.mark.parametrize("now", [False, True])
def test_a_run_stopped_while_it_holds_ends_there(world: World, now: bool) -> None:
    run = world.add(0, CLONE)
    actor = world.supervise(run)
    held(actor)
    world.core.runs.stop(run.run_id, now=now)
    assert until(actor, lambda progress: progress.outcome).outcome is RunState.STOPPED
    assert world.points(run) == list(enumerate(ALONE[:INTERVAL]))


def test_a_run_stopped_before_it_could_carry_its_exploit_out_abandons_it(world: World, pair_of) -> None:
    pair = pair_of()
    world.commit(pair.milestone, pair.donor)
    world.core.runs.stop(pair.clone.run_id)
    assert until(pair.actor, lambda progress: progress.outcome).outcome is RunState.STOPPED
    [exploit] = world.exploits(pair.clone.run_id)
    assert (exploit.outcome, exploit.reason) == (ExploitOutcome.ABANDONED, "the run has ended before")


def test_a_run_paused_while_its_actor_starts_stays_paused(world: World) -> None:
    run = world.add(0, CLONE)
    ambush(world.core, "begin_attempt", lambda: world.core.runs.pause(run.run_id))
    assert world.supervise(run).progress().outcome is RunState.PAUSED
    world.core.runs.resume(run.run_id)
    held(world.supervise(run))


@pytest.mark.parametrize("place", ["report", "executions.reach_milestone", "executions.settle_exploit", "end_attempt"])
def test_an_actor_that_was_replaced_leaves_at_its_next_word(world: World, pair_of, place: str) -> None:
    pair = pair_of()
    order = world.commit(pair.milestone, pair.donor)
    pair.actor.close()
    old = world.supervise(pair.clone)
    ambush(
        world.core, place, lambda: world.core.begin_attempt(pair.clone.run_id, node="n", resumed_from=None, token="t")
    )
    assert finish(old) is RunState.QUEUED
    assert world.outcomes(pair.clone)[-1] is None, "the other attempt has not been touched"
    assert finish(world.supervise(pair.clone)) is RunState.COMPLETED
    assert order.exploit.generation == 1
    check_taken_over(world, pair.clone)


def test_a_diverged_run_is_scored_as_such_and_can_be_rescued(world: World) -> None:
    donor, diverged = world.add(0, DONOR), world.add(1, 2.0)
    giving, actor = world.supervise(donor), world.supervise(diverged)
    given, milestone = held(giving), held(actor)
    assert math.isnan(milestone.score)
    actor.decide(world.commit(milestone, given))
    assert math.isfinite(held(actor, number=2).score), "the episodes before the exploit do not count any more"


def test_a_run_is_scored_by_the_newest_value_of_another_metric(world: World) -> None:
    actor = world.supervise(world.add(0, CLONE), metric="losses/weight")
    assert held(actor).score == ALONE[INTERVAL - 1]


def test_a_metric_that_the_script_does_not_log_has_no_score(world: World) -> None:
    actor = world.supervise(world.add(0, CLONE), metric="losses/typo")
    assert math.isnan(held(actor).score)


def test_a_run_that_goes_back_before_its_exploit_carries_it_out_once_more(world: World, pair_of) -> None:
    pair = pair_of()
    pair.actor.decide(world.commit(pair.milestone, pair.donor))
    second = held(pair.actor, number=2)
    pair.actor.close()
    world.damage(second.checkpoint_id)
    again = world.supervise(pair.clone)
    renewed = held(again, number=2)
    assert renewed.checkpoint_id != second.checkpoint_id, "the damaged one is no donor"
    assert (renewed.score, renewed.generation) == (second.score, 1)
    assert finish(again) is RunState.COMPLETED
    check_taken_over(world, pair.clone)


def test_a_run_that_goes_back_before_two_exploits_carries_both_out_once_more(world: World, pair_of) -> None:
    pair = pair_of()
    pair.actor.decide(world.commit(pair.milestone, pair.donor))
    second = held(pair.actor, number=2)
    pair.actor.decide(world.commit(second, pair.donor, rate=0.03))
    until(pair.actor, lambda progress: progress.milestone is None)
    pair.actor.close()
    world.damage(second.checkpoint_id)
    assert finish(world.supervise(pair.clone)) is RunState.COMPLETED
    given = trained(0.0, DONOR, INTERVAL)[-1]
    twice = [*TAKEN_OVER[: 2 * INTERVAL], *trained(given, 0.03, STEPS - 2 * INTERVAL)]
    assert world.points(pair.clone) == list(enumerate(twice))
    assert [one.outcome for one in world.exploits(pair.clone.run_id)] == [ExploitOutcome.APPLIED] * 2
    assert world.run(pair.clone).generation == 2


def test_a_run_that_goes_back_before_a_milestone_is_judged_there_by_a_sound_checkpoint(world: World) -> None:
    run = world.add(0, CLONE)
    actor = world.supervise(run)
    first = held(actor)
    actor.decide(None)
    second = held(actor, number=2)
    actor.close()
    world.damage(second.checkpoint_id)
    again = world.supervise(run)
    assert held(again) == first
    again.decide(None)
    renewed = held(again, number=2)
    assert (renewed.checkpoint_id != second.checkpoint_id, renewed.score) == (True, second.score)


def ambush(core: Orchestrator, place: str, deed: Callable[[], object]) -> None:
    """Have something else happen right before the next call of a method."""
    *parts, name = place.split(".")
    holder: Any = core.executions if parts else core
    original, deeds = getattr(holder, name), [deed]

    def call(*args: Any, **keys: Any) -> Any:
        if deeds:
            deeds.pop()()
        return original(*args, **keys)

    setattr(holder, name, call)
