from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from arena_ray.model.errors import IllegalTransition, NotFound, RegistryError, SpecError
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import ExecutionState, Intent, RunState
from arena_ray.registry.store import Store


def test_submit_makes_experiment_revision_and_run_together(bench: Any) -> None:
    run, is_new = bench.submit_told(project="robots", hyperparameters={"learning_rate": 2.5e-4}, seed=7)

    experiment = bench.store.get_experiment("first")
    (revision,) = bench.store.list_revisions(experiment.experiment_id)
    assert is_new
    assert experiment.project == "robots"
    assert (revision.number, revision.parent_id, revision.bundle) == (1, None, "bundle-1")
    assert revision.flags == {"learning_rate": 2.5e-4}
    assert (run.experiment, run.experiment_id) == ("first", experiment.experiment_id)
    assert (run.revision, run.revision_id) == (1, revision.revision_id)
    assert (run.state, run.intent, run.seed, run.attempt) == (RunState.QUEUED, Intent.NONE, 7, 0)
    assert run.name == f"CartPole-v1__ppo__7__{int(bench.clock().timestamp())}"
    assert run.created_at == bench.clock()


def test_submitting_the_same_file_again_returns_its_unfinished_run(bench: Any) -> None:
    first, _ = bench.submit_told()
    again, is_new = bench.submit_told()

    assert not is_new
    assert again == first
    assert bench.store.list_runs() == [first]


def test_another_seed_is_another_run_of_the_same_revision(bench: Any) -> None:
    first, _ = bench.submit_told(seed=1)
    second, is_new = bench.submit_told(seed=2)

    assert is_new
    assert second.run_id != first.run_id
    assert second.revision_id == first.revision_id


@pytest.mark.parametrize("state", [RunState.STOPPED, RunState.FAILED])
def test_a_finished_run_does_not_answer_for_a_new_one(bench: Any, state: RunState) -> None:
    first, _ = bench.submit_told()
    bench.store.move_run(first.run_id, state)

    second, is_new = bench.submit_told()

    assert is_new
    assert second.run_id != first.run_id


def test_force_new_makes_another_run_beside_the_unfinished_one(bench: Any) -> None:
    first, _ = bench.submit_told()
    second, is_new = bench.submit_told(force_new=True)

    assert is_new
    assert second.run_id != first.run_id
    assert second.revision_id == first.revision_id


def test_changed_content_or_changed_script_files_make_the_next_revision(bench: Any) -> None:
    runs = [
        bench.submit(),
        bench.submit(hyperparameters={"gamma": 0.9}),
        bench.submit(hyperparameters={"gamma": 0.9}, bundle="bundle-2"),
        bench.submit(),  # back to the first
    ]

    assert [run.revision for run in runs] == [1, 2, 3, 1]
    first, second, third = bench.store.list_revisions(runs[0].experiment_id)
    assert (first.parent_id, second.parent_id, third.parent_id) == (None, first.revision_id, second.revision_id)
    assert bench.store.get_revision(second.revision_id) == second
    assert bench.store.get_revision("nothing") is None


def test_revisions_are_numbered_in_each_experiment_by_itself(bench: Any) -> None:
    bench.submit(experiment="first")
    assert bench.submit(experiment="second").revision == 1


def test_runs_of_one_second_get_different_names(bench: Any) -> None:
    runs = [bench.submit() for _ in range(5)]

    assert len({run.name for run in runs}) == 5
    assert all(run.name.startswith(runs[0].name) for run in runs)
    assert all(run.name.endswith(f"-{run.run_id}") for run in runs[1:])


def test_a_submission_that_fails_at_its_last_step_leaves_nothing_behind(
    bench: Any, spec_of: Callable[..., ExperimentSpec]
) -> None:
    taken = bench.submit(experiment="first").run_id
    ids = iter(["experiment-2", taken, "revision-2"])  # the run's own id has been given before
    with (
        Store.open(f"sqlite:///{bench.path}", new_id=lambda: next(ids)) as clumsy,
        pytest.raises(RegistryError, match="UNIQUE"),
    ):
        clumsy.submit(spec_of(experiment="second"), flags={}, script="ppo", bundle="b")

    assert bench.store.get_experiment("second") is None
    assert bench.store.get_revision("revision-2") is None
    assert len(bench.store.list_runs()) == 1


def test_the_same_file_submitted_by_many_at_once_is_one_run(bench: Any, spec_of: Callable[..., ExperimentSpec]) -> None:
    barrier, told = threading.Barrier(8), []

    def submit() -> None:
        barrier.wait()
        told.append(bench.store.submit(spec_of(), flags={}, script="ppo", bundle="b"))

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(told) == 8
    assert sum(is_new for _, is_new in told) == 1
    assert len({run.run_id for run, _ in told}) == 1


def test_a_configuration_comes_back_as_it_was_given(bench: Any) -> None:
    run = bench.submit(
        hyperparameters={"learning_rate": 1e-3, "layers": [64, 64], "anneal": True, "target": None, "name": "ä"},
        flags={"total_timesteps": 1000},
        config={"nested": {"deep": [1, {"x": 1.5}]}},
        resources={"cpu": 0.5, "gpu": 0.25},
        checkpoint={"every_s": 5, "keep_best": 3},
    )
    revision = bench.store.get_revision(run.revision_id)

    assert revision.hyperparameters["layers"] == [64, 64]
    assert revision.hyperparameters["anneal"] is True
    assert revision.flags == {**revision.hyperparameters, "total_timesteps": 1000}
    assert revision.config == {"nested": {"deep": [1, {"x": 1.5}]}}
    assert (revision.resources.gpu, run.resources.cpu) == (0.25, 0.5)
    assert revision.checkpoint.keep_best == 3


def test_the_largest_seed_is_kept_and_a_larger_one_refused(bench: Any) -> None:
    assert bench.submit(seed=2**63 - 1).seed == 2**63 - 1
    with pytest.raises(SpecError, match="too large"):
        bench.submit(seed=2**63)


def test_experiments_are_listed_newest_first_and_found_by_name_or_id(bench: Any) -> None:
    bench.submit(experiment="first")
    bench.submit(experiment="second")
    second, first = bench.store.list_experiments()

    assert (second.name, first.name) == ("second", "first")
    assert bench.store.get_experiment("first") == bench.store.get_experiment(first.experiment_id) == first
    assert bench.store.get_experiment("third") is None


def test_an_experiments_name_goes_before_anothers_id(bench: Any) -> None:
    first_id = bench.submit(experiment="first").experiment_id
    bench.submit(experiment=first_id)

    assert bench.store.get_experiment(first_id).name == first_id


def test_a_run_begins_with_the_hyperparameters_of_its_revision(bench: Any) -> None:
    run = bench.submit(hyperparameters={"learning_rate": 1e-3, "layers": [64, 64]}, flags={"total_timesteps": 1000})

    assert run.hyperparameters == {"learning_rate": 1e-3, "layers": [64, 64]}
    assert (run.generation, run.execution_id, run.member) == (0, None, None)


def test_each_member_of_an_execution_has_one_run_whatever_it_is_to_train(bench: Any) -> None:
    execution, _ = bench.execute()
    seat = {"execution_id": execution.execution_id}
    first, is_new = bench.submit_told(member=0, **seat)
    second, is_second_new = bench.submit_told(member=1, **seat)
    bench.store.move_run(first.run_id, RunState.STOPPED)
    again, is_again_new = bench.submit_told(member=0, hyperparameters={"gamma": 0.9}, force_new=True, **seat)

    assert (is_new, is_second_new, is_again_new) == (True, True, False)
    assert (first.member, second.member, again.run_id) == (0, 1, first.run_id)
    assert first.execution_id == second.execution_id == execution.execution_id
    assert [run.run_id for run in bench.store.list_runs()] == [first.run_id, second.run_id]
    assert len(bench.store.list_revisions(first.experiment_id)) == 1


def test_a_run_of_an_execution_does_not_answer_for_one_without(bench: Any) -> None:
    execution, _ = bench.execute()
    member, _ = bench.submit_told(execution_id=execution.execution_id, member=0)
    alone, is_new = bench.submit_told()

    assert is_new
    assert alone.revision_id == member.revision_id
    assert bench.submit_told() == (alone, False)


def test_an_execution_that_has_ended_keeps_its_runs_and_takes_no_more(bench: Any) -> None:
    execution, _ = bench.execute()
    seat = {"execution_id": execution.execution_id}
    bench.store.move_execution(execution.execution_id, ExecutionState.PAUSED)
    run, _ = bench.submit_told(member=0, **seat)
    bench.store.move_execution(execution.execution_id, ExecutionState.STOPPED)

    assert bench.submit_told(member=0, **seat) == (run, False)
    with pytest.raises(IllegalTransition, match="is stopped and takes no more runs"):
        bench.submit_told(member=1, hyperparameters={"gamma": 0.9}, **seat)
    assert len(bench.store.list_revisions(run.experiment_id)) == 1


def test_a_member_belongs_to_an_execution_that_exists(bench: Any) -> None:
    with pytest.raises(NotFound, match="no execution 'nothing'"):
        bench.submit_told(execution_id="nothing", member=0)
    with pytest.raises(ValueError, match="together"):
        bench.submit_told(member=0)
    assert bench.store.list_experiments() == []
