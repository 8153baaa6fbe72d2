from __future__ import annotations

import copy
import inspect
import json
import math
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.train._internal.checkpoint_manager import _CheckpointManager
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from tune_stage import Roomy, Stage

from arena_ray.model.errors import SpecError
from arena_ray.model.search_space import SearchSpace
from arena_ray.scheduling import exploiter
from arena_ray.scheduling.pbt import PopulationBasedTraining
from arena_ray.scheduling.tune_space import search_space_of

RATES = [{"rate": rate} for rate in (1.0, 0.5, 0.4, 0.1)]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def pbt(*, slots: float = math.inf, **settings: Any) -> PopulationBasedTraining:
    roomy = Roomy(tuned=["rate"])
    roomy.count = slots
    defaults = {"perturbation_interval": 3, "param_space": {"rate": tune.uniform(0.0, 1.0)}, "exploiter": roomy}
    return PopulationBasedTraining(**(defaults | settings))


def test_clones_go_on_with_weights_and_perturbed_hyperparameters_of_the_best(tmp_path) -> None:
    scheduler = pbt()
    stage = Stage(tmp_path, scheduler, RATES)
    assert stage.run(until=9)
    first = next(exploit for exploit in scheduler.lineage() if exploit["trial"] == "t3")
    assert first["donor"] == "t0"
    assert (first["score"], first["donor_score"], first["outcome"]) == (pytest.approx(0.3), 3.0, "applied")
    assert first["hyperparameters"]["rate"] in (0.8, 1.0)
    assert stage.weights["t3"] >= 3.0 + 6 * 0.8 - 1e-9
    assert stage.trials[3].experiment_tag.startswith("t3@")


def test_with_pb2_values_are_proposed_that_nobody_had_but_that_promise_most(tmp_path) -> None:
    """A step gains as much as the rate is, so that the model leaves what it has been told further behind each time."""
    scheduler = pbt(explore="pb2", perturbation_factors=(1.0, 1.0), resample_probability=0.0, min_gap=0.0)
    assert Stage(tmp_path, scheduler, [{"rate": rate} for rate in (0.1, 0.15, 0.2, 0.25)]).run(until=36)
    first, *rest = [exploit["hyperparameters"]["rate"] for exploit in scheduler.lineage()]
    assert first in (0.2, 0.25), "nothing was known yet: perturbed, by nothing here"
    assert rest == sorted(rest)
    assert min(rest) > 0.25
    assert max(rest) > 0.5


def test_the_lineage_is_written_into_the_directory_of_the_experiment(tmp_path) -> None:
    scheduler = pbt()
    Stage(tmp_path, scheduler, RATES).run(until=6)
    events = [json.loads(line) for line in (tmp_path / "x" / "pbt_lineage.jsonl").read_text().splitlines()]
    exploits = [event for event in events if event["event"] == "exploit"]
    assert [exploit["hyperparameters"] for exploit in exploits] == [
        row["hyperparameters"] for row in scheduler.lineage()
    ]
    assert len(exploits) > 0


def test_all_else_of_the_configuration_is_the_donor_s(tmp_path) -> None:
    configs = [{"rate": 1.0, "width": 64}, {"rate": 0.1, "width": 32}]
    stage = Stage(tmp_path, pbt(), configs)
    stage.run(until=6)
    assert stage.trials[1].config["width"] == 64


def test_hyperparameters_that_a_trial_lacks_are_drawn(tmp_path) -> None:
    space = {"rate": tune.uniform(0.0, 1.0), "depth": tune.randint(1, 4)}
    stages = [Stage(tmp_path / str(n), pbt(param_space=space, seed=5), RATES) for n in range(2)]
    depths = [[trial.config["depth"] for trial in stage.trials] for stage in stages]
    assert depths[0] == depths[1]
    assert set(depths[0]) <= {1, 2, 3}


def test_more_trials_than_slots_take_turns_with_one_pause_per_trial_and_interval(tmp_path) -> None:
    stage = Stage(tmp_path, pbt(slots=2), [{"rate": 0.5}] * 6, slots=2)
    assert stage.run(until=15)
    at_intervals = [(trial, (step - 1) // 3) for trial, step in stage.pauses]
    assert len(at_intervals) == len(set(at_intervals))
    assert {step % 3 for _, step in stage.pauses} == {0}


def test_where_there_is_room_nobody_is_paused_but_clones(tmp_path) -> None:
    scheduler = pbt(slots=4)
    stage = Stage(tmp_path, scheduler, RATES, slots=4)
    assert stage.run(until=9)
    assert len(stage.pauses) == len(scheduler.lineage())


def test_the_one_that_is_furthest_behind_is_started_first(tmp_path) -> None:
    stage = Stage(tmp_path, pbt(slots=1), [{"rate": 0.5}] * 3, slots=1)
    order = []
    for _ in range(6):
        stage.start_trials()
        [running] = [trial for trial in stage.trials if trial.status == Trial.RUNNING]
        order.append(running.trial_id)
        for _ in range(3):
            stage.step(stage.trials.index(running))
    assert order == ["t0", "t1", "t2", "t2", "t0", "t1"]  # nobody is behind t2 when it gets there


class TestADonorThatIsSlow:
    def stage(self, tmp_path: Path, clock: Clock) -> tuple[PopulationBasedTraining, Stage]:
        scheduler = pbt(clock=clock, donor_timeout_s=60.0, perturbation_interval=1)
        stage = Stage(tmp_path, scheduler, RATES[:2], saves_at_once=False)
        stage.start_trials()
        assert stage.step(0) == TrialScheduler.CONTINUE
        assert stage.step(1) == TrialScheduler.PAUSE
        stage.finish_save(stage.trials[1])
        assert stage.trials[1].status == Trial.PAUSED
        return scheduler, stage

    def test_is_waited_for_by_the_clone_alone(self, tmp_path) -> None:
        scheduler, stage = self.stage(tmp_path, Clock())
        assert scheduler.choose_trial_to_run(stage) is None
        stage.finish_save(stage.trials[0])
        assert scheduler.choose_trial_to_run(stage) is stage.trials[1]
        assert scheduler.lineage()[0]["outcome"] == "applied"
        assert all(future.blocked == 0 for future in stage.futures.values())

    def test_is_waited_for_no_longer_than_the_limit(self, tmp_path) -> None:
        clock = Clock()
        scheduler, stage = self.stage(tmp_path, clock)
        clock.now = 61.0
        assert scheduler.choose_trial_to_run(stage) is stage.trials[1]
        [exploit] = scheduler.lineage()
        assert exploit["outcome"] == "failed"
        assert "longer than 60 s" in exploit["reason"]
        assert stage.trials[1].config == {"rate": 0.5}
        stage.start_trials()
        assert stage.weights["t1"] == 0.5

    def test_and_fails_is_not_waited_for(self, tmp_path) -> None:
        scheduler, stage = self.stage(tmp_path, Clock())
        stage.trials[0].temporary_state.saving_to = None
        stage.fail(0)
        assert scheduler.choose_trial_to_run(stage) is stage.trials[1]
        assert scheduler.lineage()[0]["outcome"] == "failed"


class TestWhatIsHeld:
    def held(self, stage: Stage) -> set[str]:
        return {path.name for path in (stage.directory / "x" / "pbt_checkpoints").iterdir() if path.is_dir()}

    def test_is_what_the_last_one_may_yet_ask_for(self, tmp_path) -> None:
        scheduler = pbt(perturbation_interval=1, min_gap=9.0)
        stage = Stage(tmp_path, scheduler, RATES[:2], num_to_keep=1)
        stage.start_trials()
        for _ in range(3):
            stage.step(0)
        scheduler.choose_trial_to_run(stage)
        assert self.held(stage) == {"t0-1", "t0-2", "t0-3"}
        stage.step(1)
        stage.step(1)
        scheduler.choose_trial_to_run(stage)
        assert self.held(stage) == {"t0-3", "t1-2"}

    def test_outlives_what_the_trial_itself_keeps(self, tmp_path) -> None:
        stage = Stage(tmp_path, pbt(perturbation_interval=1), RATES[:2], num_to_keep=1)
        stage.start_trials()
        for _ in range(5):
            stage.step(0)
        stage.step(1)
        stage.start_trials()
        assert stage.weights["t1"] == 1.0  # the donor's at the clone's milestone, four checkpoints ago

    def test_stays_until_the_experiment_s_state_cannot_name_it_any_more(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr(exploiter, "_LOOK_S", 0.0)
        scheduler = pbt(perturbation_interval=1, min_gap=9.0)
        stage = Stage(tmp_path, scheduler, RATES[:2], num_to_keep=1)
        state = stage.directory / "x" / "experiment_state-1.json"
        state.parent.mkdir(parents=True, exist_ok=True)
        for writing in range(3):
            state.touch()
            os.utime(state, ns=(writing, writing + 1))
            if writing == 0:
                stage.start_trials()
                for number in (0, 0, 0, 1, 1):
                    stage.step(number)
            scheduler.choose_trial_to_run(stage)
            gone = {"t0-1", "t0-2", "t1-1"} & self.held(stage) == set()
            assert gone is (writing == 2)
        assert self.held(stage) == {"t0-3", "t1-2"}

    def test_is_gone_when_all_have_ended(self, tmp_path) -> None:
        stage = Stage(tmp_path, pbt(), RATES)
        assert stage.run(until=9)
        assert self.held(stage) == set()


class TestARestoredExperiment:
    @pytest.mark.parametrize("synchronous", [False, True])
    def test_goes_on_with_its_history(self, tmp_path, synchronous: bool) -> None:
        first = pbt(synchronous=synchronous)
        before = Stage(tmp_path, first, RATES)
        before.start_trials()
        for _ in range(3):
            for number in range(4):
                before.step(number)
        before.start_trials()
        again = pbt(synchronous=synchronous)
        after = Stage(tmp_path, again, RATES, restored=before)
        assert again.lineage() != []
        assert after.run(until=9)

    def test_takes_back_the_exploits_that_its_trials_do_not_know_of(self, tmp_path) -> None:
        first = pbt()
        before = Stage(tmp_path, first, RATES[:2])
        assert before.run(until=4)
        assert [exploit["outcome"] for exploit in first.lineage()] == ["applied"]
        again = pbt()
        Stage(tmp_path, again, RATES[:2])
        assert [exploit["outcome"] for exploit in again.lineage()] == ["abandoned"]

    def test_of_the_same_name_but_of_other_trials_is_another_one(self, tmp_path) -> None:
        assert Stage(tmp_path, pbt(), RATES[:2]).run(until=4)
        other = pbt()
        Stage(tmp_path, other, RATES[:2], name="other")
        assert other.lineage() == []


def test_a_trial_that_is_tried_again_goes_on_from_its_checkpoint(tmp_path) -> None:
    scheduler = pbt(synchronous=True)
    stage = Stage(tmp_path, scheduler, RATES[:3])
    stage.start_trials()
    for _ in range(2):
        for number in range(3):
            stage.step(number)
    stage.fail(2)
    stage.trials[2].set_status(Trial.PENDING)
    scheduler.on_trial_add(stage, stage.trials[2])
    stage.weights["t2"], stage.steps["t2"] = 0.0, 0
    assert stage.run(until=9)


def test_state_is_saved_and_restored(tmp_path) -> None:
    scheduler = pbt()
    Stage(tmp_path / "one", scheduler, RATES).run(until=6)
    scheduler.save(str(tmp_path / "state"))
    other = pbt()
    other.restore(str(tmp_path / "state"))
    assert other.lineage() == scheduler.lineage() != []
    assert pickle.loads(pickle.dumps(scheduler)).lineage() == scheduler.lineage()
    assert copy.deepcopy(scheduler).lineage() == scheduler.lineage()


def test_a_result_without_the_time_says_so(tmp_path) -> None:
    scheduler = pbt(time_attr="tick")
    stage = Stage(tmp_path, scheduler, RATES[:2])
    stage.start_trials()
    with pytest.raises(ValueError, match="a result has no 'tick', the time_attr of PBT; it has training_iteration"):
        stage.step(0)


def test_a_score_that_comes_late_counts_when_it_comes() -> None:
    scheduler = pbt(metric="score")
    assert scheduler.arrival_of({"training_iteration": 3}) is None
    assert scheduler.arrival_of({"training_iteration": 2, "score": 1}) is None
    arrival = scheduler.arrival_of({"training_iteration": 5, "score": 1})
    assert arrival is not None
    assert (arrival.milestone, arrival.score) == (1, 1.0)


@pytest.mark.parametrize("wrong", [{"perturbation_interval": 0}, {"quantile_fraction": 0.6}, {"explore": "pb3"}])
def test_settings_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        pbt(**wrong)


def test_metric_and_mode_are_given_once() -> None:
    assert not pbt(metric="a").set_search_properties("b", "max")
    assert not pbt(mode="min").set_search_properties("b", "max")


class TestTheSpaceOfTune:
    def test_becomes_ours(self) -> None:
        space = search_space_of(
            {
                "a": tune.uniform(0, 1),
                "b": tune.loguniform(1e-4, 1e-1),
                "c": tune.quniform(0, 1, 0.25),
                "d": tune.randint(1, 9),
                "e": tune.choice([4, 8]),
                "f": tune.qrandint(2, 8, 2),
                "g": [1, 2],
                "h": {"uniform": [0, 2]},
            }
        )
        assert space.to_data() == {
            "a": {"uniform": [0, 1]},
            "b": {"loguniform": [1e-4, 1e-1]},
            "c": {"quniform": [0, 1, 0.25]},
            "d": {"randint": [1, 9]},
            "e": {"choice": [4, 8]},
            "f": {"quniform": [2, 8, 2]},
            "g": {"choice": [1, 2]},
            "h": {"uniform": [0, 2]},
        }
        assert search_space_of(space) is space
        assert isinstance(space, SearchSpace)

    @pytest.mark.parametrize("domain", [tune.randn(0, 1), tune.lograndint(1, 9), tune.sample_from(lambda _: 1)])
    def test_has_bounds_or_is_refused(self, domain) -> None:
        with pytest.raises(SpecError, match=r"param_space\.a: .* no bounds"):
            search_space_of({"a": domain})


def test_tune_is_what_the_exploiter_takes_it_for() -> None:
    assert "should_checkpoint" in inspect.signature(TuneController.pause_trial).parameters
    assert "result" in inspect.signature(TuneController._schedule_trial_save).parameters
    assert "_latest_checkpoint_result" in vars(_CheckpointManager(None))
    assert isinstance(inspect.getattr_static(Trial, "is_saving"), property)
    assert math.isinf(pbt(slots=math.inf)._exploiter.slots(None))
