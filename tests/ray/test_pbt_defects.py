"""The ways in which Ray's own PBT fails (2.60), each beside ours: should a release mend one, its test says so.

What needs real actors has them; where the order of events is the matter, both schedulers are driven on a stage.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import cloudpickle, tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import PopulationBasedTraining as RayPbt
from ray.tune.schedulers.pbt import _explore
from ray.tune.search import Searcher, SearchGenerator
from tune_stage import Roomy, Stage

from arena_ray.scheduling.pbt import PopulationBasedTraining

# Ray's sockets, and the file that a driver's output goes to, are closed by the garbage collector.
pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning")]
RATE = {"rate": tune.uniform(0.0, 1.0)}
MANY_STEPS = 20
GATED = 3
"""Trials that wait for each other at a gate."""
STOCK = {"hyperparam_mutations": RATE, "log_config": False}


@pytest.fixture(scope="module")
def own_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray of this module's own: the one that the other tests share runs in other processes, behind a token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
        patch.setenv("TUNE_GLOBAL_CHECKPOINT_S", "0")  # what is restored is as fresh as can be
        directory = str(tmp_path_factory.mktemp("ray"))
        ray.init(address="local", include_dashboard=False, num_cpus=4, log_to_driver=False, _temp_dir=directory)
        here = sys.modules[__name__]
        cloudpickle.register_pickle_by_value(here)  # workers do not know the tests
        yield
        cloudpickle.unregister_pickle_by_value(here)
        ray.shutdown()


class Climber(tune.Trainable):
    """Its weight, which is its score, grows by its rate at each step; ``ticks`` grow by ten.

    Where it is given a *gate*, a directory, it takes its first step when all of a population have come there.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.weight = 0.0
        self.rate, self.fails = new_config["rate"], new_config["rate"] == new_config.get("fails")
        self.gate = new_config.get("gate")
        return True

    def step(self) -> dict[str, Any]:
        if self.gate is not None:
            Path(self.gate, self.trial_id).touch()
            while len(list(Path(self.gate).iterdir())) < GATED:
                time.sleep(0.05)
        time.sleep(0.05)
        if self.fails:
            raise RuntimeError("on purpose")
        self.weight += self.rate
        return {"score": self.weight, "ticks": 10 * (self.iteration + 1)}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "weight").write_text(json.dumps(self.weight))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        self.weight = json.loads(Path(checkpoint_dir, "weight").read_text())


class Watch(tune.Callback):
    """Sees when all trials that have not ended are paused for longer than it takes to start one; or interrupts."""

    def __init__(self, directory: Path, *, interrupt_after: int | None = None) -> None:
        self.verdict, self.interrupted = directory / "hung", directory / "interrupted"
        self.interrupt_after = interrupt_after
        self.paused_since: float | None = None
        self.paused_steps = 0
        self.results = 0

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any) -> None:
        self.results += 1

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        unfinished = [trial for trial in trials if not trial.is_finished()]
        is_due = self.interrupt_after is not None and self.results >= self.interrupt_after
        if is_due and not self.interrupted.exists() and not any(trial.is_saving for trial in unfinished):
            self.interrupted.touch()
            raise InterruptedError
        if not unfinished or any(trial.status != Trial.PAUSED for trial in unfinished):
            self.paused_since, self.paused_steps = None, 0
            return
        self.paused_since = self.paused_since or time.monotonic()
        self.paused_steps += 1  # on a slow machine a step may take long, but it does not take many of them
        if self.paused_steps > MANY_STEPS and time.monotonic() - self.paused_since > 1.0:
            self.verdict.write_text("all are paused")


class IfHung(tune.Stopper):
    """Ends an experiment that would never end."""

    def __init__(self, directory: Path, *, iterations: int) -> None:
        self.verdict, self.iterations = directory / "hung", iterations

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return result["training_iteration"] >= self.iterations

    def stop_all(self) -> bool:
        return self.verdict.exists()


def tuner(tmp_path: Path, scheduler: Any, rates: list[float], *, iterations: int = 6, **more: Any) -> tune.Tuner:
    """Return a Tuner over one trial per rate."""
    run = {"storage_path": str(tmp_path), "name": "x", "stop": IfHung(tmp_path, iterations=iterations), "verbose": 0}
    run |= {"callbacks": [Watch(tmp_path, interrupt_after=more.pop("interrupt_after", None))]}
    run |= {"checkpoint_config": more.pop("checkpoints", tune.CheckpointConfig())}
    space = {"rate": tune.grid_search(rates), "fails": more.pop("fails", None)} if rates else {}
    config = tune.TuneConfig(scheduler=scheduler, metric="score", mode="max", reuse_actors=True, **more)
    return tune.Tuner(Climber, param_space=space, tune_config=config, run_config=tune.RunConfig(**run))


def hangs(tmp_path: Path) -> bool:
    return (tmp_path / "hung").exists()


def ours(**settings: Any) -> PopulationBasedTraining:
    return PopulationBasedTraining(**({"param_space": RATE, "perturbation_interval": 3} | settings))


def ours_on_stage(**settings: Any) -> PopulationBasedTraining:
    return ours(**({"exploiter": Roomy(tuned=["rate", "batch", "depth"])} | settings))


def stock(**settings: Any) -> RayPbt:
    return RayPbt(**(STOCK | {"time_attr": "training_iteration", "perturbation_interval": 3} | settings))


@pytest.mark.usefixtures("own_ray")
class TestASynchronousPopulation:
    def test_1_and_2_goes_on_without_one_that_failed_and_with_times_that_jump(self, tmp_path) -> None:
        pbt = ours(synchronous=True, time_attr="ticks", perturbation_interval=4)
        results = tuner(tmp_path, pbt, [1.0, 0.5, 0.1], fails=0.1, iterations=2).fit()
        assert not hangs(tmp_path)
        assert len(results.errors) == 1
        assert [result.metrics["training_iteration"] for result in results if not result.error] == [2, 2]
        assert {exploit["outcome"] for exploit in pbt.lineage()} == {"applied"}

    def test_1_of_ray_waits_for_ever_for_one_that_failed(self, tmp_path) -> None:
        tuner(tmp_path, stock(synch=True), [1.0, 0.5, 0.1], fails=0.1).fit()
        assert hangs(tmp_path)

    def test_2_of_ray_waits_for_ever_where_times_jump(self, tmp_path) -> None:
        tuner(tmp_path, stock(synch=True, time_attr="ticks", perturbation_interval=4), [1.0, 0.5]).fit()
        assert hangs(tmp_path)

    def test_3_goes_on_after_it_was_restored(self, tmp_path) -> None:
        with pytest.raises(InterruptedError):
            tuner(tmp_path, ours(synchronous=True), [1.0, 0.5], interrupt_after=7).fit()
        results = tune.Tuner.restore(str(tmp_path / "x"), Climber).fit()
        assert not hangs(tmp_path)
        assert [result.metrics["training_iteration"] for result in results] == [6, 6]

    def test_3_of_ray_waits_for_ever_after_it_was_restored(self, tmp_path) -> None:
        before = Stage(tmp_path, stock(synch=True), [{"rate": 1.0}, {"rate": 0.5}])
        for _ in range(7):
            before.start_trials()
            for number in range(2):
                before.step(number)
        after = Stage(tmp_path, stock(synch=True), [{"rate": 1.0}, {"rate": 0.5}], restored=before)
        assert not after.run(until=20)
        assert {trial.status for trial in after.trials} == {Trial.PAUSED}


@pytest.mark.usefixtures("own_ray")
class TestAnAsynchronousPopulation:
    # What Tune says of the setting, to any scheduler for which it turns the buffering off.
    @pytest.mark.filterwarnings("ignore:.*forcibly set to 1 instead:UserWarning")
    def test_5_8_10_and_11_replaces_one_that_diverged_whoever_suggests_trials_and_keeps_checkpoints(
        self, tmp_path, monkeypatch
    ) -> None:
        monkeypatch.setenv("TUNE_RESULT_BUFFER_LENGTH", "4")
        monkeypatch.setenv("TUNE_RESULT_BUFFER_MIN_TIME_S", "5")
        pbt = ours(perturbation_interval=1)
        checkpoints = tune.CheckpointConfig(num_to_keep=1, checkpoint_at_end=False)
        (tmp_path / "gate").mkdir()
        trials = Listed([1.0, math.nan, 0.1], gate=str(tmp_path / "gate"))
        more = {"search_alg": trials, "num_samples": GATED, "checkpoints": checkpoints}
        results = tuner(tmp_path, pbt, [], **more).fit()
        assert not results.errors
        assert [math.isfinite(result.metrics["score"]) for result in results] == [True] * 3
        assert "diverged" in {exploit["cause"] for exploit in pbt.lineage()}
        assert {exploit["outcome"] for exploit in pbt.lineage()} == {"applied"}

    def test_5_of_ray_trains_one_that_diverged_to_its_end(self, tmp_path) -> None:
        results = tuner(tmp_path, stock(perturbation_interval=1), [1.0, math.nan]).fit()
        assert [math.isnan(result.metrics["score"]) for result in results] == [False, True]

    def test_10_of_ray_is_broken_by_buffered_results(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("TUNE_RESULT_BUFFER_LENGTH", "4")
        monkeypatch.setenv("TUNE_RESULT_BUFFER_MIN_TIME_S", "5")
        checkpoints = tune.CheckpointConfig(checkpoint_at_end=False)
        with pytest.raises(tune.TuneError, match=r"should be paused here only|KeyError"):
            tuner(
                tmp_path, stock(perturbation_interval=3), [1.0, 0.5, 0.1], iterations=40, checkpoints=checkpoints
            ).fit()

    def test_11_of_ray_does_not(self) -> None:
        with pytest.raises(ValueError, match="Search algorithms cannot be used"):
            stock().on_trial_add(SimpleNamespace(search_alg=SearchGenerator(Listed([1.0]))), Trial("x", stub=True))


class Listed(Searcher):
    """Suggests one rate after the other."""

    def __init__(self, rates: list[float], *, gate: str | None = None) -> None:
        super().__init__(metric="score", mode="max")
        self.rates, self.gate = list(rates), gate

    def suggest(self, trial_id: str) -> dict[str, Any]:
        return {"rate": self.rates.pop(0), "gate": self.gate}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        pass


class TestOnAStage:
    def test_4_stays_within_its_space(self, tmp_path) -> None:
        space = {"rate": tune.uniform(0.9, 0.9999), "batch": tune.choice([4, 8]), "depth": tune.randint(0, 3)}
        pbt = ours_on_stage(param_space=space, perturbation_interval=1, resample_probability=0.0, min_gap=-9.0)
        stage = Stage(tmp_path, pbt, [{"rate": 0.99, "batch": 4, "depth": 0} for _ in range(4)])
        assert stage.run(until=40)
        taken = [exploit["hyperparameters"] for exploit in pbt.lineage()]
        assert len(taken) > 20
        assert all(0.9 <= one["rate"] <= 0.9999 for one in taken)
        assert {one["batch"] for one in taken} == {4, 8}
        assert {one["depth"] for one in taken} <= {0, 1, 2}
        assert any(one["depth"] > 0 for one in taken)

    def test_4_of_ray_leaves_it(self) -> None:
        space = {"rate": tune.uniform(0.9, 0.9999), "batch": tune.choice([4, 8]), "depth": tune.randint(0, 3)}
        values = {"rate": 0.99, "batch": 4, "depth": 0}
        moved = [_explore(values, space, 0.0, (1.2, 0.8), None)[0] for _ in range(20)]
        assert {one["rate"] > 0.9999 or one["rate"] < 0.9 for one in moved} == {True}
        assert {one["batch"] for one in moved} == {3, 4} or {one["batch"] for one in moved} <= {3, 4, 5}
        assert {one["depth"] for one in moved} == {0}

    def slow_is_better(self, tmp_path: Path, scheduler: Any) -> Stage:
        """Two trials of which one is twice as fast, and worse at equal steps."""
        stage = Stage(tmp_path, scheduler, [{"rate": 1.0}, {"rate": 0.6}])
        stage.start_trials()
        for _ in range(4):
            stage.start_trials()
            for number in (1, 1, 0):
                stage.start_trials()
                stage.step(number)
        return stage

    def test_6_compares_at_equal_steps(self, tmp_path) -> None:
        pbt = ours_on_stage(perturbation_interval=2)
        self.slow_is_better(tmp_path, pbt)
        assert {(exploit["donor"], exploit["trial"]) for exploit in pbt.lineage()} == {("t0", "t1")}

    def test_6_of_ray_clones_the_worse_one_for_being_ahead(self, tmp_path) -> None:
        stage = self.slow_is_better(tmp_path, stock(perturbation_interval=2))
        assert stage.pauses[0][0] == "t0"

    def test_7_is_never_blocked_by_a_donor(self, tmp_path) -> None:
        stage = Stage(
            tmp_path, ours_on_stage(perturbation_interval=1), [{"rate": 1.0}, {"rate": 0.1}], saves_at_once=False
        )
        stage.start_trials()
        stage.step(0)
        stage.step(1)
        stage.finish_save(stage.trials[1])
        stage.start_trials()
        assert stage.futures["t0"].blocked == 0
        assert stage.trials[1].status == Trial.PAUSED

    def test_7_of_ray_is_blocked_without_a_limit(self, tmp_path) -> None:
        pbt = stock(perturbation_interval=1)
        stage = Stage(tmp_path, pbt, [{"rate": 0.5}, {"rate": 1.0}, {"rate": 0.1}], saves_at_once=False)
        stage.start_trials()
        for number in range(3):
            stage.step(number)
        assert stage.futures["t1"].blocked == 1

    @pytest.mark.filterwarnings("ignore:Using `CheckpointConfig.num_to_keep:UserWarning")  # Ray's PBT knows
    @pytest.mark.parametrize("kind", [ours_on_stage, stock])
    def test_8_a_clone_and_the_donor_s_next_checkpoint(self, tmp_path, kind: Callable[..., Any]) -> None:
        stage = Stage(tmp_path, kind(perturbation_interval=2), [{"rate": r} for r in (0.5, 1.0, 0.1)], num_to_keep=1)
        stage.start_trials()
        for _ in range(2):
            for number in range(3):
                stage.step(number)
        clone = stage.trials[2]
        assert clone.status == Trial.PAUSED
        while stage.trials[1].status == Trial.RUNNING and stage.steps["t1"] < 6:
            stage.step(1)
        assert Path(clone.latest_checkpoint_result.checkpoint.path).exists() is (kind is ours_on_stage)

    @pytest.mark.parametrize("kind", [ours_on_stage, stock])
    def test_9_the_random_numbers_of_everybody_else(self, tmp_path, kind: Callable[..., Any]) -> None:
        seen = set()
        for seed in range(8):
            random.seed(seed)
            stage = Stage(tmp_path / str(seed), kind(perturbation_interval=2), [{"rate": r} for r in (0.5, 1.0, 0.1)])
            stage.run(until=12)
            seen.add(json.dumps([trial.config for trial in stage.trials]))
        assert (len(seen) == 1) is (kind is ours_on_stage)
