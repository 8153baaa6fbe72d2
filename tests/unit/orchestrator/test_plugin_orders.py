"""What the functions of plugins order, carried out once each."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from core_kit import RUNNERS

from arena_ray.model.errors import NotFound, SpecError, StaleDriver
from arena_ray.model.spec import PluginCall
from arena_ray.model.states import ExecutionState, RunState
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.orchestrator.plugin_orders import PluginOrders
from arena_ray.runner.protocol import Capabilities
from arena_ray.scheduling.plugin_port import Call, NoteOrder, RevisionOrder, RunOrder
from arena_runners.cleanrl import CleanRLRunner

PLUGIN = {
    "name": "pbt",
    "settings": {"perturbation_interval": 1000, "param_space": {"learning_rate": {"loguniform": [1e-4, 1e-2]}}},
}
DRIVER = "d"


class World:
    def __init__(self, core: Orchestrator, submission_of, **spec: object) -> None:
        keys = {"hyperparameters": {"gamma": 0.9}, "flags": {"total_timesteps": 5000}, "plugin": PLUGIN, "seed": 3}
        self.core = core
        self.execution = core.start(submission_of(**(keys | spec))).execution
        self.orders: PluginOrders = core.plugins._orders
        core.claim_experiment(self.execution.experiment_id, driver=DRIVER)

    def revise(self, number: int = 0, **keys: object):
        order = RevisionOrder.model_validate({"number": number, "name": f"r{number}"} | keys)
        return self.orders.add_revision(self.execution, order)

    def start(self, member: int = 0, **keys: object):
        return self.orders.start_run(self.execution, RunOrder.model_validate({"member": member} | keys))

    def note(self, number: int, text: str, **keys: object):
        order = NoteOrder.model_validate({"call": f"note {number}", "text": text} | keys)
        return self.orders.add_note(self.execution, order)

    def call(self, method: str, *, driver: str = DRIVER, place: int | None = None, **arguments: object):
        call = Call(number=place, method=method, arguments=arguments)
        return self.core.plugins.carry_out(self.execution.execution_id, call, driver=driver)

    def revisions(self):
        return self.core._store.list_revisions(self.execution.experiment_id)


@pytest.fixture
def world(core: Orchestrator, submission_of) -> World:
    return World(core, submission_of)


def test_the_first_revision_is_the_file_s_and_a_plugin_s_come_after_it(world: World) -> None:
    first = world.revise(0, hyperparameters={"learning_rate": 1e-3}, notes="a try")
    second = world.revise(1, hyperparameters={"gamma": 0.95}, parent_id=first.revision_id)
    base, *made = world.revisions()
    assert (base.number, base.name, base.hyperparameters) == (1, None, {"gamma": 0.9})
    assert [each.revision_id for each in made] == [first.revision_id, second.revision_id]
    assert (first.parent_id, first.name, first.notes) == (base.revision_id, "r0", "a try")
    assert first.execution_id == world.execution.execution_id
    assert second.hyperparameters == {"gamma": 0.95, "learning_rate": 1e-3}
    assert second.flags == {"total_timesteps": 5000, "learning_rate": 1e-3, "gamma": 0.95, "cuda": False}


def test_revisions_may_be_equal_but_for_their_names(world: World) -> None:
    one = world.revise(0, name="Test-Config", hyperparameters={"learning_rate": 1e-3})
    other = world.revise(1, name="Auto-Optimized", hyperparameters={"learning_rate": 1e-3})
    assert (one.number, other.number) == (2, 3)
    assert one.flags == other.flags


def test_each_order_is_carried_out_once(world: World) -> None:
    revision = world.revise(0, hyperparameters={"learning_rate": 1e-3})
    assert world.revise(0, hyperparameters={"learning_rate": 1e-3}) == revision
    run = world.start(0, revision_id=revision.revision_id)
    assert world.start(0, revision_id=revision.revision_id) == run
    assert [world.note(0, "begun"), world.note(0, "begun")] == [True, False]
    assert len(world.revisions()) == 2


def test_a_plugin_that_asks_for_something_else_at_the_same_place_is_told(world: World) -> None:
    world.revise(0, name="first", hyperparameters={"learning_rate": 1e-3})
    for change in ({"name": "second"}, {"name": "first", "hyperparameters": {"learning_rate": 2e-3}}):
        with pytest.raises(SpecError, match="made revision 'first' at this place when it ran before"):
            world.revise(0, **{"hyperparameters": {"learning_rate": 1e-3}, **change})

    world.start(0, seed=5)
    world.note(0, "first")
    for again in (lambda: world.start(0, seed=6), lambda: world.note(0, "second")):
        with pytest.raises(SpecError, match="after a restart a plugin must ask for the same as before"):
            again()


def test_a_run_is_of_the_revision_that_it_names_or_else_of_the_file_s(core: Orchestrator, world: World) -> None:
    revision = world.revise(0, hyperparameters={"learning_rate": 1e-3})
    own, revised = world.start(0), world.start(1, revision_id=revision.revision_id, description="a try", seed=9)
    assert (own.revision, own.hyperparameters, own.seed) == (1, {"gamma": 0.9}, 3)
    assert (revised.revision_id, revised.description, revised.seed) == (revision.revision_id, "a try", 9)
    assert core.assignment(revised.run_id).revision.flags["learning_rate"] == 1e-3
    assert (own.state, own.execution_id, own.member) == (RunState.QUEUED, world.execution.execution_id, 0)


def test_a_run_with_flags_of_its_own_gets_a_revision_of_its_own(core: Orchestrator, world: World) -> None:
    revision = world.revise(0, hyperparameters={"learning_rate": 1e-3})
    run = world.start(0, revision_id=revision.revision_id, flags={"total_timesteps": 700, "num_envs": 2})
    of_run = core.assignment(run.run_id).revision
    assert of_run.parent_id == revision.revision_id
    assert (of_run.flags["total_timesteps"], of_run.flags["num_envs"]) == (700, 2)
    assert of_run.flags["learning_rate"] == 1e-3
    with pytest.raises(SpecError, match="learning_rate: a hyperparameter of revision 2, not a flag of a single run"):
        world.start(1, revision_id=revision.revision_id, flags={"learning_rate": 1.0})


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"hyperparameters": {"learning_rat": 1.0}}, "learning_rat.*did you mean 'learning_rate'"),
        ({"hyperparameters": {"batch_size": 64}}, "batch_size: it has no effect"),
        ({"hyperparameters": {"learning_rate": "fast"}}, "learning_rate: ppo takes float, not 'fast'"),
        ({"config": {"a": 1}}, "runner 'cleanrl' takes no nested configuration"),
        ({"parent_id": "nobody-s"}, "no revision 'nobody-s'"),
    ],
)
def test_what_the_script_does_not_take_is_refused_and_nothing_is_made(world: World, order, message: str) -> None:
    with pytest.raises((SpecError, NotFound), match=message):
        world.revise(0, **order)
    assert len(world.revisions()) == 1


def test_a_revision_may_have_other_flags_another_environment_and_another_parent(world: World) -> None:
    first = world.revise(0, hyperparameters={"learning_rate": 1e-3})
    second = world.revise(1, parent_id=first.revision_id, flags={"total_timesteps": 700}, env_id="Acrobot-v1")
    base = world.revisions()[0]
    third = world.revise(2, parent_id=base.revision_id, flags={"num_envs": 2})
    assert (second.env_id, second.flags["total_timesteps"], second.flags["learning_rate"]) == ("Acrobot-v1", 700, 1e-3)
    assert (third.env_id, third.flags["total_timesteps"], third.parent_id) == ("CartPole-v1", 5000, base.revision_id)
    assert "learning_rate" not in third.hyperparameters


def test_a_hyperparameter_that_the_file_gives_as_a_flag_becomes_the_revision_s(world: World) -> None:
    revision = world.revise(0, hyperparameters={"total_timesteps": 6000})
    assert revision.flags["total_timesteps"] == 6000


class Nested(CleanRLRunner):
    capabilities = Capabilities(has_config=True)


@pytest.mark.parametrize(
    ("is_deep", "expected"),
    [(True, {"net": {"units": 512, "layers": 2}, "lr": 1}), (False, {"net": {"units": 512}, "lr": 1})],
)
def test_updates_of_a_nested_configuration_are_merged_or_replace(
    core: Orchestrator, submission_of, is_deep: bool, expected: dict
) -> None:
    world = World(core, submission_of)
    world.orders._revisions._runners = MappingProxyType({**RUNNERS, "cleanrl": Nested()})
    first = world.revise(0, config={"net": {"units": 64, "layers": 2}, "lr": 1})
    second = world.revise(1, config={"net": {"units": 512}}, parent_id=first.revision_id, is_deep=is_deep)
    assert second.config == expected


def test_notes_are_on_the_experiment_or_on_a_run(world: World) -> None:
    run = world.start(0)
    world.note(0, "✅ well")
    world.note(1, "no return", run_id=run.run_id)
    notes = world.core._store.list_notes(world.execution.experiment_id)
    assert [(note.text, note.run_id) for note in notes] == [("✅ well", None), ("no return", run.run_id)]


def test_only_the_newest_driver_s_calls_count(core: Orchestrator, world: World) -> None:
    core.claim_experiment(world.execution.experiment_id, driver="new")
    for arguments in ({"number": 0, "name": "late"}, {"member": 0}, {"call": "note 0", "text": "late"}):
        method = {"number": "add_revision", "member": "start_run", "call": "add_note"}[next(iter(arguments))]
        with pytest.raises(StaleDriver):
            world.call(method, place=0, **arguments)
    assert len(world.revisions()) == 1
    assert core.plugins.journal(world.execution.execution_id) == []


def test_runs_of_a_paused_execution_are_paused(core: Orchestrator, world: World) -> None:
    core.experiments.pause("x")
    run = world.start(0)
    assert (run.state, run.reason) == (RunState.PAUSED, "paused by the user")


def test_a_run_queued_while_its_execution_is_resumed_goes_on(core: Orchestrator, world: World, monkeypatch) -> None:
    store = core._store
    core.experiments.pause("x")
    move = store.move_run

    def move_while_resumed(run_id: str, *args, **keys):
        moved = move(run_id, *args, **keys)
        monkeypatch.setattr(store, "move_run", move)
        store.move_execution(world.execution.execution_id, ExecutionState.RUNNING)
        return moved

    monkeypatch.setattr(store, "move_run", move_while_resumed)
    assert world.start(0).state is RunState.QUEUED


def test_a_plugin_begins_on_an_experiment_with_its_newest_revision(core: Orchestrator, world: World) -> None:
    newest = world.revise(0, name="tuned", hyperparameters={"learning_rate": 1e-3})
    world.start(0, revision_id=newest.revision_id, flags={"num_envs": 2})  # for this run alone
    core.experiments.stop("x")
    space = {"ent_coef": {"uniform": [0.0, 0.1]}}
    call = PluginCall(name="pbt", settings={"perturbation_interval": 1000, "param_space": space})
    execution = core.run_plugin("x", call).execution
    assert execution is not None
    assert (execution.revision_id, execution.state) == (newest.revision_id, ExecutionState.RUNNING)
    assert execution.spec.hyperparameters == {"gamma": 0.9, "learning_rate": 1e-3}
    assert len(world.revisions()) == 3
    assert not core.run_plugin("x", call).created
    with pytest.raises(NotFound, match="no experiment 'y'"):
        core.run_plugin("y", call)
