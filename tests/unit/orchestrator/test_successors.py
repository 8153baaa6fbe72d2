"""What comes of a run: its schedule as another run, its hyperparameters as a revision."""

from __future__ import annotations

import pytest
from unit.orchestrator.test_executions import DRIVER, PLUGIN, World, saved

from arena_ray.model.errors import NotFound, SpecError
from arena_ray.model.events import EpisodeSummary
from arena_ray.model.records import Exploit, Run
from arena_ray.model.spec import PluginCall
from arena_ray.model.states import AttemptOutcome, ExploitCause, ExploitOutcome
from arena_ray.orchestrator.core import Orchestrator

SPACE = PLUGIN["settings"]["param_space"]


@pytest.fixture
def world(core: Orchestrator, submission_of) -> World:
    return World(core, submission_of)


@pytest.fixture
def winner(world: World) -> Run:
    """A run that has taken over another one's weights at step 50, and completed at step 90."""
    donor, run = world.add(0, learning_rate=1e-3), world.add(1, learning_rate=5e-3)
    for each in (donor, run):
        world.begin(each, token=each.run_id)
        world.report(each, EpisodeSummary(1, 10, 4.0, 1.0, 1.0), saved(5))
    reached = {each.run_id: world.reach(each) for each in (donor, run)}
    values = {"learning_rate": 2e-3}
    exploit = Exploit(
        execution_id=world.execution.execution_id,
        run_id=run.run_id,
        generation=1,
        milestone=1,
        boundary=5,
        global_step=50,
        score=4.0,
        donor_run_id=donor.run_id,
        donor_generation=0,
        donor_milestone=1,
        donor_checkpoint_id=reached[donor.run_id].checkpoint_id,
        donor_digest="",
        donor_score=9.0,
        hyperparameters_before={"learning_rate": 5e-3},
        hyperparameters=values,
        cause=ExploitCause.QUANTILE,
        created_at=run.created_at,
    )
    executions = world.core.executions
    executions.commit_exploit(exploit, driver=DRIVER)
    executions.settle_exploit(run.run_id, attempt=1, generation=1, outcome=ExploitOutcome.APPLIED)
    world.report(run, EpisodeSummary(2, 80, 8.0, 1.0, 1.0), seq=2, boundary=9)
    for each in (donor, run):
        world.core.end_attempt(each.run_id, attempt=1, outcome=AttemptOutcome.COMPLETED, reason=None)
    return world.core.assignment(run.run_id).run


def test_a_replay_follows_the_winner_s_schedule_with_the_population_s_seed(core, drivers, world, winner) -> None:
    started = core.successors.replay(winner.name)
    execution = started.execution
    assert (execution.plugin, execution.experiment, started.created) == ("replay_schedule", "x", True)
    assert execution.settings["schedule"] == [
        {"step": 0, "hyperparameters": {"learning_rate": 1e-3}},
        {"step": 50, "hyperparameters": {"learning_rate": 2e-3}},
    ]
    assert (execution.settings["metric"], execution.settings["mode"]) == ("episodic_return", "max")
    assert execution.spec.seed == world.execution.spec.seed == 3
    assert execution.spec.flags["total_timesteps"] == 5000
    assert drivers.asked[-1] == execution.experiment_id

    driver = {"driver": DRIVER, "member": 0, "hyperparameters": {"learning_rate": 1e-3}, "seed": 3}
    run = core.executions.add_run(execution.execution_id, **driver)
    assert core.assignment(run.run_id).revision.flags == {
        "total_timesteps": 5000,
        "gamma": 0.9,
        "learning_rate": 1e-3,
        "cuda": False,
    }


def test_a_replay_that_has_not_ended_goes_on_and_another_seed_is_another_one(core, winner) -> None:
    first = core.successors.replay(winner.run_id)
    assert core.successors.replay(winner.run_id).execution == first.execution
    other = core.successors.replay(winner.run_id, seed=8).execution
    assert (other.spec.seed, other.execution_id != first.execution.execution_id) == (8, True)
    assert core.successors.replay(winner.run_id, force_new=True).created
    once, again = (core.successors.replay(winner.run_id, force_new=True, request_id="r") for _ in range(2))
    assert once == again


def test_what_no_plugin_has_steered_has_no_schedule_and_what_is_not_there_is_not_found(core, submission_of) -> None:
    run = core.start(submission_of()).run
    with pytest.raises(SpecError, match="no plugin has steered it"):
        core.successors.replay(run.run_id)
    for call in (core.successors.replay, core.successors.promote):
        with pytest.raises(NotFound):
            call("nobody")


def test_a_promoted_revision_has_the_run_s_values_and_tells_where_they_come_from(core, winner) -> None:
    revision = core.successors.promote(winner.name, name="tuned")
    assert revision.hyperparameters == {"gamma": 0.9, "learning_rate": 2e-3}
    assert revision.flags == {"total_timesteps": 5000, "gamma": 0.9, "learning_rate": 2e-3, "cuda": False}
    assert (revision.name, revision.parent_id) == ("tuned", winner.revision_id)
    assert revision.notes == (
        f"promoted from run {winner.name} of pbt, after 1 exploits, completed at step 90: episodic_return 8"
    )


def test_the_next_plugin_begins_with_it_and_may_tune_what_it_holds(core, winner) -> None:
    revision = core.successors.promote(winner.name)
    assert revision.name == f"promoted-{winner.name}"
    plugin = PluginCall(name="pbt", settings={"perturbation_interval": 500, "param_space": SPACE})
    execution = core.run_plugin("x", plugin).execution
    assert execution.revision_id == revision.revision_id
    run = core.executions.add_run(
        execution.execution_id, driver=DRIVER, member=0, hyperparameters={"learning_rate": 7e-3}, seed=1
    )
    assert run.hyperparameters == {"gamma": 0.9, "learning_rate": 7e-3}


def test_what_was_made_for_a_sample_alone_is_no_beginning_for_another_plugin(core, world, winner) -> None:
    plugin = PluginCall(name="pbt", settings={"perturbation_interval": 500, "param_space": SPACE})
    assert core.run_plugin("x", plugin).execution.revision_id == world.execution.revision_id
    promoted = core.successors.promote(winner.name)
    replay = core.successors.replay(winner.name, force_new=True).execution
    assert replay.revision_id == winner.revision_id
    core.executions.add_run(
        replay.execution_id, driver=DRIVER, member=0, hyperparameters={"learning_rate": 9e-3}, seed=1
    )
    assert core.run_plugin("x", plugin, force_new=True).execution.revision_id == promoted.revision_id


def test_to_promote_twice_makes_one_revision_unless_something_came_between(core, winner, submission_of) -> None:
    first = core.successors.promote(winner.name)
    assert core.successors.promote(winner.name) == first
    other = core.successors.promote(winner.name, name="other", request_id="r")
    assert core.successors.promote(winner.name, name="other", request_id="r") == other
    again = core.successors.promote(winner.name)
    assert (again.number, again.hyperparameters) == (other.number + 1, first.hyperparameters)


def test_any_run_can_be_promoted_and_a_name_must_be_one(core, submission_of) -> None:
    run = core.start(submission_of(hyperparameters={"learning_rate": 1e-3})).run
    revision = core.successors.promote(run.run_id)
    assert revision.hyperparameters == {"learning_rate": 1e-3}
    assert revision.notes == f"promoted from run {run.name}, queued at step 0: episodic_return not measured"
    with pytest.raises(SpecError, match="'a b' is no name for a revision"):
        core.successors.promote(run.run_id, name="a b")
