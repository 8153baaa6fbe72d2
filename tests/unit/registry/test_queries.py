from __future__ import annotations

from typing import Any

import pytest

from arena_ray.model.errors import NotFound
from arena_ray.model.states import RunState


def test_a_run_is_found_by_id_by_name_and_by_a_unique_beginning_of_either(bench: Any) -> None:
    run = bench.submit(env_id="CartPole-v1")
    bench.submit(env_id="Acrobot-v1")

    for key in (run.run_id, run.name, run.run_id[:8], "CartPole-v1__pp", "C"):
        assert bench.store.get_run(key) == run
        assert bench.store.require_run(key) == run


def test_a_beginning_minds_upper_and_lower_case_and_takes_no_wildcards(bench: Any) -> None:
    bench.submit()

    for key in ("cartpole", "CartPole_v1", "%", "", "artPole"):
        assert bench.store.get_run(key) is None


def test_an_exact_name_goes_before_longer_names_that_begin_with_it(bench: Any) -> None:
    run = bench.submit()
    bench.submit()

    assert bench.store.require_run(run.name) == run


def test_an_ambiguous_beginning_names_the_runs_it_may_mean(bench: Any) -> None:
    runs = [bench.submit(seed=seed) for seed in range(7)]

    assert bench.store.get_run("CartPole") is None
    with pytest.raises(NotFound, match=r"7 runs: .* and 2 more; write more") as caught:
        bench.store.require_run("CartPole")
    assert runs[0].name in str(caught.value)
    assert (caught.value.kind, caught.value.name) == ("run", "CartPole")


def test_an_unknown_run_brings_the_nearest_name(bench: Any) -> None:
    run = bench.submit()

    with pytest.raises(NotFound, match=f"did you mean '{run.name}'"):
        bench.store.require_run(run.name.replace("Cart", "Kart"))


def test_an_unknown_run_in_a_large_registry_does_not_list_it_all(bench: Any) -> None:
    for seed in range(12):
        bench.submit(seed=seed)

    with pytest.raises(NotFound) as caught:
        bench.store.require_run("zzz")
    assert str(caught.value).count("CartPole") == 5


def test_runs_are_listed_oldest_first_whatever_the_clock_says(bench: Any) -> None:
    first = bench.submit()
    bench.clock.advance(-3600)
    second = bench.submit()

    assert bench.store.list_runs() == [first, second]


def test_runs_are_listed_by_experiment_and_by_state(bench: Any) -> None:
    queued, stopped = bench.submit(experiment="first"), bench.submit(experiment="first")
    other = bench.submit(experiment="second")
    stopped = bench.store.move_run(stopped.run_id, RunState.STOPPED)

    assert bench.store.list_runs(experiment="first") == [queued, stopped]
    assert bench.store.list_runs(experiment=other.experiment_id) == [other]
    assert bench.store.list_runs(experiment="third") == []
    assert bench.store.list_runs(states={RunState.STOPPED, RunState.FAILED}) == [stopped]
    assert bench.store.list_runs(experiment="first", states=[RunState.QUEUED]) == [queued]
    assert bench.store.list_runs(states=[]) == []


def test_runs_are_listed_by_execution(bench: Any) -> None:
    members, alone = bench.population(), bench.submit()
    members = [bench.store.require_run(member.run_id) for member in members]

    assert bench.store.list_runs(execution_id=members[0].execution_id) == members
    assert bench.store.list_runs(execution_id="nothing") == []
    assert bench.store.list_runs(experiment="first") == [*members, alone]
