from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from unit.scheduling.studies import DRIVER, SPACE, Engine, Orchestrator, execution, milestone, study

from arena_ray.model.errors import AllRunsFailed, StaleDriver
from arena_ray.model.records import Run
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.states import RunState
from arena_ray.plugin.study import Asha, GridSearch, Pbt, RandomSearch, Saving, SeedRace, StudyResult, Tpe
from arena_ray.scheduling.in_place import InPlacePbt
from arena_ray.scheduling.rungs import RungScheduler
from arena_ray.scheduling.search import Trained, open_search
from arena_ray.scheduling.study_runs import LOOK_INTERVAL_S, StudyRuns

Q, RUN, DONE = RunState.QUEUED, RunState.RUNNING, RunState.COMPLETED


class World:
    """One study, its orchestrator and engine, and a clock that moves at each tick."""

    def __init__(self) -> None:
        self.orchestrator = Orchestrator()
        self.engine = Engine(self.orchestrator)
        self.now = 0.0

    def open(self, **keys: Any) -> StudyRuns:
        return StudyRuns(
            study(**keys),
            execution(),
            port=self.orchestrator,
            engine=self.engine,
            driver=DRIVER,
            total_steps=1000,
            clock=lambda: self.now,
        )

    def tick(self, runs: StudyRuns) -> Any:
        self.now += LOOK_INTERVAL_S
        return runs.tick()

    def end(self, *scores: float, state: RunState = DONE) -> None:
        for member, score in enumerate(scores):
            self.orchestrator.move(member, state, episodic_return=score)


@pytest.fixture
def world() -> World:
    return World()


def test_all_runs_are_made_at_once_and_the_result_is_the_best_of_them(world: World) -> None:
    runs = world.open()
    assert world.tick(runs) is None
    assert world.orchestrator.states() == [Q, Q, Q]
    world.end(1.0, 3.0, 2.0)
    result = world.tick(runs)
    assert (result.best_run_id, result.best_score, result.num_runs) == ("r1", 3.0, 3)
    assert result.best_hyperparameters == world.orchestrator.runs[1].hyperparameters


@pytest.mark.parametrize(("vary", "seeds"), [(False, [7, 7, 7]), (True, [7, 8, 9])])
def test_runs_have_the_experiment_s_seed_or_are_counted_up_from_it(world: World, vary: bool, seeds: list[int]) -> None:
    world.tick(world.open(vary_seed=vary))
    assert [run.seed for run in world.orchestrator.runs.values()] == seeds


@pytest.mark.parametrize("search", [None, Tpe(n_startup=1)])
@pytest.mark.parametrize("is_late", [False, True])
def test_no_more_runs_are_under_way_than_were_asked_for(world: World, search: Any, is_late: bool) -> None:
    world.engine.is_late = is_late
    keys = {"num_samples": 5, "max_concurrent": 2} | ({"search_alg": search} if search else {})
    runs = world.open(**keys)
    for done in range(5):
        for _ in range(3):
            world.tick(runs)
            runs = world.open(**keys) if is_late else runs  # a new driver has no trials yet
            for member, run in world.orchestrator.runs.items():
                if run.state is Q:
                    world.orchestrator.move(member, RUN)
        under_way = [state for state in world.orchestrator.states() if state is RUN]
        assert len(under_way) == min(2, 5 - done)
        world.orchestrator.move(done, DONE, episodic_return=1.0)
    assert world.orchestrator.states() == [DONE] * 5


def test_a_search_that_learns_makes_a_run_only_once_none_waits(world: World) -> None:
    runs = world.open(search_alg=Tpe(n_startup=1))
    for expected in ([Q], [RUN, Q], [RUN, RUN, Q]):
        world.tick(runs)
        world.tick(runs)
        assert world.orchestrator.states() == expected
        world.orchestrator.move(len(expected) - 1, RUN)


def test_a_run_that_the_user_paused_keeps_no_other_from_being_made(world: World) -> None:
    runs = world.open(search_alg=Tpe(n_startup=1))
    world.tick(runs)
    world.orchestrator.move(0, RunState.PAUSED)
    world.tick(runs)
    assert world.orchestrator.states() == [RunState.PAUSED, Q]


def test_nothing_ends_while_a_run_is_paused(world: World) -> None:
    runs = world.open(num_samples=2)
    world.tick(runs)
    world.end(1.0, 2.0)
    world.orchestrator.move(0, RunState.PAUSED)
    world.engine.is_late = True
    assert world.tick(runs) is None
    world.orchestrator.move(0, DONE)
    assert world.tick(runs).best_run_id == "r1"


@pytest.mark.parametrize(
    ("mode", "scores", "best"),
    [("max", (1.0, math.nan, 2.0), "r2"), ("min", (1.0, math.nan, 2.0), "r0"), ("max", (math.nan,) * 3, None)],
)
def test_the_best_is_the_best_of_those_that_were_measured(world: World, mode, scores, best: str | None) -> None:
    runs = world.open(mode=mode)
    world.tick(runs)
    world.end(*scores)
    result = world.tick(runs)
    assert result.best_run_id == best
    assert math.isnan(result.best_score) == (best is None)


def test_a_run_that_failed_is_not_the_best_whatever_it_had_reached(world: World) -> None:
    runs = world.open()
    world.tick(runs)
    world.end(1.0, 9.0, 2.0)
    world.orchestrator.move(1, RunState.FAILED, episodic_return=9.0)
    world.orchestrator.move(2, RunState.STOPPED, episodic_return=2.0)
    assert world.tick(runs).best_run_id == "r2"


def test_a_study_whose_every_run_failed_says_so_with_the_first_reason(world: World) -> None:
    runs = world.open()
    world.tick(runs)
    world.end(1.0, 2.0, 3.0, state=RunState.FAILED)
    world.orchestrator.move(0, RunState.FAILED, reason="ValueError: no (line 3)\nTraceback")
    with pytest.raises(AllRunsFailed, match=r"^all 3 runs failed, the first of them: ValueError: no \(line 3\)$"):
        world.tick(runs)


def test_another_metric_is_asked_for_at_the_end(world: World) -> None:
    runs = world.open(metric="losses/value", mode="min")
    world.tick(runs)
    world.end(1.0, 2.0, 3.0)
    world.orchestrator.scores = {"r1": 5.0, "r2": 4.0}
    assert (world.tick(runs).best_run_id, world.tick(runs).best_score) == ("r2", 4.0)


def test_a_new_driver_goes_on_with_the_runs_that_there_are(world: World) -> None:
    first = world.open(num_samples=4, max_concurrent=2)
    world.tick(first)
    made = dict(world.orchestrator.runs)
    second = world.open(num_samples=4, max_concurrent=2)
    world.end(1.0, 2.0)
    world.tick(second)
    assert len(world.orchestrator.runs) == 4
    assert [world.orchestrator.runs[member].hyperparameters for member in made] == [
        run.hyperparameters for run in made.values()
    ]


def test_a_driver_that_was_replaced_makes_no_runs(world: World) -> None:
    world.orchestrator.driver = "another"
    with pytest.raises(StaleDriver):
        world.tick(world.open())


def test_each_combination_of_a_grid_is_one_run(world: World) -> None:
    space = SearchSpace.parse({"a": {"choice": [1, 2]}, "b": {"choice": ["x", "y"]}})
    world.tick(world.open(param_space=space, num_samples=None, search_alg=GridSearch()))
    samples = [tuple(run.hyperparameters.values()) for run in world.orchestrator.runs.values()]
    assert samples == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]


@pytest.mark.parametrize(
    ("scheduler", "kind", "next_stops"),
    [(Pbt(perturbation_interval=100), InPlacePbt, [100, 200]), (Asha(grace_period=100), RungScheduler, [100, 400])],
)
def test_a_scheduler_brings_the_milestones_at_which_its_runs_hold(world: World, scheduler, kind, next_stops) -> None:
    runs = world.open(scheduler=scheduler, metric="losses/value")
    assert isinstance(runs.scheduler, kind)
    assert runs.course is not None
    assert runs.course.metric == "losses/value"
    assert [runs.course.milestones.next_after(step) for step in (0, 100)] == next_stops


def test_without_a_scheduler_no_run_holds(world: World) -> None:
    runs = world.open()
    assert (runs.scheduler, runs.course) == (None, None)


def test_the_rungs_of_a_driver_before_this_one_are_known_still(world: World) -> None:
    asha = Asha(grace_period=100, reduction_factor=2)
    world.tick(world.open(scheduler=asha, num_samples=3))
    world.orchestrator.milestones = [milestone("r0", 1, 5.0), milestone("r1", 1, 9.0)]
    successor = world.open(scheduler=asha, num_samples=3)
    assert isinstance(successor.scheduler, RungScheduler)
    successor.scheduler.on_milestone(milestone("r2", 1, 1.0))
    assert [run_id for run_id, _ in world.orchestrator.stopped] == ["r2"]


def test_a_population_knows_its_runs_as_soon_as_they_are_made(world: World) -> None:
    runs = world.open(scheduler=Pbt(perturbation_interval=100), param_space=SPACE)
    world.tick(runs)
    assert isinstance(runs.scheduler, InPlacePbt)
    arrive: Callable[..., bool] = runs.scheduler.on_milestone
    assert not any(arrive(milestone(run_id, 1, 50.0)) for run_id in ("r0", "r1", "r2"))
    assert world.engine.decided == ["r0", "r1", "r2"]


LETTERS = SearchSpace.parse({"a": {"choice": [1, 2, 3]}})
RACE: dict[str, Any] = {
    "param_space": LETTERS,
    "num_samples": None,
    "search_alg": GridSearch(),
    "scheduler": SeedRace(min_seeds=3, max_seeds=5),
}


def play(world: World, runs: StudyRuns, score: Callable[[Run], float], *, until: int = 99) -> StudyResult | None:
    """Let each run end as soon as it is made; return the result, or None once so many runs are there."""
    while True:
        if (result := world.tick(runs)) is not None or len(world.orchestrator.runs) >= until:
            return result
        for member, run in list(world.orchestrator.runs.items()):
            if not run.state.is_final:
                world.orchestrator.move(member, DONE, episodic_return=score(run))


def near(run: Run) -> float:
    """Return a score by which 2 and 3 are close to each other, and 1 far behind."""
    return {1: 0.0, 2: 10.0, 3: 10.5}[int(run.hyperparameters["a"])] + 0.5 * (run.seed % 3)


def test_each_sample_is_trained_with_several_seeds_and_ranked_by_all_of_them(world: World) -> None:
    runs = world.open(**RACE | {"scheduler": SeedRace(min_seeds=2, max_seeds=2)})
    result = play(world, runs, near)
    made = [(run.hyperparameters["a"], run.seed) for run in world.orchestrator.runs.values()]
    assert made == [(1, 7), (1, 8), (2, 7), (2, 8), (3, 7), (3, 8)]
    assert [each.hyperparameters for each in result.configurations] == [{"a": 3}, {"a": 2}, {"a": 1}]
    assert result.best_score == result.configurations[0].iqm == 11.25
    assert (result.best_run_id, result.best_hyperparameters) == ("r5", {"a": 3})
    assert (result.is_clear, result.saving) == (None, None), "nothing was raced"


def test_only_close_contenders_get_more_seeds_and_the_result_says_what_that_has_saved(world: World) -> None:
    result = play(world, world.open(**RACE), near)
    seeds = {each.hyperparameters["a"]: each.seeds for each in result.configurations}
    assert seeds == {1: [7, 8, 9], 2: [7, 8, 9, 10, 11], 3: [7, 8, 9, 10, 11]}
    assert result.is_clear is False
    assert result.saving == Saving(unit="CPU", used_hours=13.0, saved_hours=2.0, used_runs=13, saved_runs=2)
    assert result.num_runs == 13


def test_a_race_ends_as_soon_as_the_winner_is_clear(world: World) -> None:
    result = play(world, world.open(**RACE), lambda run: 10.0 * int(run.hyperparameters["a"]) + run.seed)
    assert result.is_clear is True
    assert [len(each.seeds) for each in result.configurations] == [3, 3, 3]


@pytest.mark.parametrize("until", range(1, 14))
def test_a_new_driver_races_on_as_if_it_had_been_there_from_the_begin(until: int) -> None:
    undisturbed = World()
    expected = play(undisturbed, undisturbed.open(**RACE), near)
    world = World()
    play(world, world.open(**RACE), near, until=until)
    assert play(world, world.open(**RACE), near) == expected
    assert world.orchestrator.runs == undisturbed.orchestrator.runs


def test_a_run_that_fails_counts_as_worse_than_all_and_is_told(world: World) -> None:
    runs = world.open(**RACE | {"scheduler": SeedRace(min_seeds=3, max_seeds=3)})
    world.tick(runs)
    world.tick(runs)
    world.end(*[5.0] * 9)
    world.orchestrator.move(8, RunState.FAILED, episodic_return=99.0)
    last = world.tick(runs).configurations[-1]
    assert (last.hyperparameters, last.missing, math.isnan(last.iqm)) == ({"a": 3}, 1, True)


def test_a_search_that_learns_is_told_the_middle_of_all_seeds_of_a_sample(world: World) -> None:
    keys = {"search_alg": Tpe(n_startup=1), "num_samples": 3, "scheduler": SeedRace(min_seeds=2, max_seeds=2)}
    result = play(world, world.open(**keys), lambda run: float(run.hyperparameters["learning_rate"]))
    values = [run.hyperparameters["learning_rate"] for run in world.orchestrator.runs.values()]
    assert [values[at] == values[at + 1] for at in range(5)] == [True, False] * 2 + [True]
    search = open_search(study(**keys), seed=7)
    known = [Trained({"learning_rate": value}, value) for value in values[:4:2]]
    assert search.sample(2, known) == {"learning_rate": values[4]}
    assert len(result.configurations) == 3


def test_samples_that_are_equal_do_not_race_each_other(world: World) -> None:
    space = SearchSpace.parse({"a": {"choice": [1]}})
    keys = RACE | {"param_space": space, "search_alg": RandomSearch(), "num_samples": 2}
    result = play(world, world.open(**keys), near)
    assert [(each.hyperparameters, each.seeds) for each in result.configurations] == [({"a": 1}, [7, 8, 9])]
    assert result.is_clear is True
