"""A stage lets a plugin work as a cluster does, on trainings that a function stands for."""

from __future__ import annotations

import gc
import itertools
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arena_ray.model.errors import AllRunsFailed, NotFound, PluginMistake, SpecError
from arena_ray.model.states import ExecutionState, RunState
from arena_ray.plugin import (
    GridSearch,
    Pbt,
    PluginApi,
    PluginContext,
    PluginStopped,
    SearchSpace,
    SeedRace,
    register_plugin,
)
from arena_ray.testing import PluginStage, Training, TrainingFails, TrainingHangs


def steering(function: Callable[[PluginContext, PluginApi], Any], **keys: Any) -> Callable[..., Any]:
    return register_plugin(name="steering", scope="experiment", description="steers", **keys)(function)


@register_plugin(
    name="rates",
    scope="experiment",
    description="tries rates",
    settings_schema={"rates": {"type": "list", "default": [1e-4, 1e-3, 3e-3]}, "patience": {"type": "int"}},
)
def rates(context: PluginContext, api: PluginApi) -> float:
    best, best_rate = -math.inf, math.nan
    for rate in context.settings["rates"]:
        if context.should_stop:
            break
        api.create_revision_with_hyperparameters(f"rate {rate}", {"learning_rate": rate})
        run = api.create_run()
        api.wait_for_completion(run, timeout_minutes=context.settings["patience"])
        if run.get_reward() > best:
            best, best_rate = run.get_reward(), rate
    api.add_note(f"best: {best_rate}", key="best")
    return best_rate


def likes_a_thousandth(training: Training, step: int) -> float:
    return step / training["total_timesteps"] - abs(training["learning_rate"] - 1e-3)


def test_a_sweep_finds_the_best_of_what_the_function_gives() -> None:
    stage = PluginStage(rates, train=likes_a_thousandth)
    assert stage.run() == 1e-3
    assert [run.hyperparameters["learning_rate"] for run in stage.runs] == [1e-4, 1e-3, 3e-3]
    assert [run.state for run in stage.runs] == [RunState.COMPLETED] * 3
    assert [note.text for note in stage.notes] == ["best: 0.001"]
    assert stage.state is ExecutionState.COMPLETED
    assert stage.minutes == pytest.approx(30, abs=1)
    stage.check_replay()


def test_settings_are_checked_as_a_user_s_are_and_defaults_filled_in() -> None:
    assert PluginStage(rates, {"rates": [0.5]}, train=likes_a_thousandth).run() == 0.5
    with pytest.raises(SpecError, match=r"plugin rates\.rate: there is no such setting; did you mean 'rates'"):
        PluginStage(rates, {"rate": [0.5]})
    with pytest.raises(SpecError, match="mark it with @register_plugin"):
        PluginStage(likes_a_thousandth)


def test_what_a_plugin_gives_to_the_script_is_checked(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="has no such flag; known: lr"):
        PluginStage(rates, script={"lr": 0.1}).run()
    script = tmp_path / "train.py"
    script.write_text(
        "import tyro\nfrom dataclasses import dataclass\n@dataclass\nclass Args:\n    learning_rate: int = 3\n"
        "args = tyro.cli(Args)\n"
    )
    with pytest.raises(SpecError, match=r"takes int, not 0\.0001"):
        PluginStage(rates, script=script).run()


def test_runs_fail_and_hang_where_the_function_says_so() -> None:
    def train(training: Training, step: int) -> float:
        if training.number == 0:
            raise TrainingFails("out of memory")
        if training.number == 1 and step > 100_000:
            raise TrainingHangs
        return 1.0

    stage = PluginStage(rates, {"patience": 20}, train=train)
    assert stage.run() == 1e-3
    assert [(run.state, run.reason) for run in stage.runs] == [
        (RunState.FAILED, "out of memory"),
        (RunState.RUNNING, None),
        (RunState.COMPLETED, None),
    ]
    assert [note.text.split(maxsplit=1)[1][:24] for note in stage.notes if note.run_id] == [
        f"{stage.runs[0].name} has no return"[:24],
        f"gave up waiting for {stage.runs[1].name}"[:24],
    ]


def test_waiting_for_a_run_that_hangs_is_told_instead_of_lasting_forever() -> None:
    def train(training: Training, step: int) -> float:
        raise TrainingHangs

    with pytest.raises(AssertionError, match="never ends: it should give timeout_minutes"):
        PluginStage(rates, train=train).run()


def test_a_mistake_of_the_function_that_stands_for_the_script_reaches_the_test() -> None:
    def swallowing(context: PluginContext, api: PluginApi) -> None:
        try:
            api.wait_for_completion(api.create_run())
        except Exception:  # noqa: BLE001 - what is tested
            api.add_note("never mind")

    with pytest.raises(ZeroDivisionError):
        PluginStage(steering(swallowing), train=lambda training, step: step / 0).run()


def test_what_was_not_logged_is_nan_and_a_note_says_so_once() -> None:
    def looking(context: PluginContext, api: PluginApi) -> dict[str, Any]:
        run = api.create_run(seed=7)
        api.wait_for_completion(run)
        assert math.isnan(run.get_reward())
        assert math.isnan(run.get_reward())
        return dict(run.get_metrics(["losses/value", "losses/other"], max_points=3))

    def train(training: Training, step: int) -> dict[str, float]:
        training.printed.append(f"step {step}")
        return {"losses/value": 1 / step}

    stage = PluginStage(steering(looking), train=train)
    metrics = stage.run()
    assert [step for step, _, _ in metrics["scalars"]["losses/value"]] == [150_000, 300_000, 500_000]
    assert metrics["summary"]["losses/value"]["count"] == 10
    assert math.isnan(metrics["latest"]["losses/other"])
    assert [note.text for note in stage.notes] == [f"⚠️ {stage.runs[0].name} has no return: no episode has ended in it"]
    assert stage.runs[0].seed == 7


def test_notes_with_a_key_are_written_once_on_each_target() -> None:
    def noting(context: PluginContext, api: PluginApi) -> None:
        for run in (api.create_run(), api.create_run()):
            for _ in range(2):
                run.add_note("flat", key="flat")
        for _ in range(2):
            api.add_note("without a key")
        with pytest.raises(PluginMistake, match="target_type is one of experiment, run, revision"):
            api.add_note("where?", "nowhere")  # type: ignore[arg-type]

    stage = PluginStage(steering(noting))
    stage.run()
    assert [(note.text, note.run_id) for note in stage.notes] == [
        ("flat", "run-1"),
        ("flat", "run-2"),
        ("without a key", None),
        ("without a key", None),
    ]


def test_time_passes_only_where_the_function_waits_and_runs_train_meanwhile() -> None:
    def watching(context: PluginContext, api: PluginApi) -> list[str]:
        run = api.create_run()
        seen = [run.get_status()]
        api.wait(minutes=5)
        seen.append(run.get_status())
        api.wait(steps=200_000)
        while not run.is_completed():
            seen.append(run.get_status())
            api.wait(minutes=1)
        return [*seen, run.get_status()]

    began = time.monotonic()
    stage = PluginStage(steering(watching), minutes_a_run=20)
    told = stage.run()
    assert told[:2] == ["queued", "running"]
    assert told[-1] == "completed"
    assert 8 <= told.count("running") <= 11
    assert stage.minutes == pytest.approx(20, abs=1)
    assert time.monotonic() - began < 60


def test_a_stop_leaves_what_waits_and_what_starts_something_but_lets_notes_be_written() -> None:
    def waiting(context: PluginContext, api: PluginApi) -> None:
        run = api.create_run()
        try:
            api.wait_for_completion(run)
        except PluginStopped:
            api.add_note(f"was {context.should_stop}, run {run.get_status()}")
            api.create_run()

    stage = PluginStage(steering(waiting))
    assert stage.run(stop_after_minutes=4) is None
    assert stage.state is ExecutionState.STOPPED
    assert stage.minutes == pytest.approx(4, abs=0.1)
    assert [note.text for note in stage.notes] == ["was True, run stopped"]
    assert [run.state for run in stage.runs] == [RunState.STOPPED]
    stage.check_replay()


def test_a_stop_can_come_at_any_call() -> None:
    runs = []
    for number in range(8):
        stage = PluginStage(rates, train=likes_a_thousandth)
        stage.run(stop_at_call=number)
        assert stage.state is ExecutionState.STOPPED
        stage.check_replay()
        runs.append(len(stage.runs))
    assert runs == [0, 0, 1, 1, 1, 1, 1, 2]


def test_a_study_trains_the_samples_of_its_search_and_returns_the_best() -> None:
    def tuning(context: PluginContext, api: PluginApi) -> Any:
        space = SearchSpace.parse({"learning_rate": {"choice": [1e-4, 1e-3]}, "num_envs": {"choice": [1, 2]}})
        return api.tune(param_space=space, search_alg=GridSearch(), vary_seed=True, max_concurrent=2)

    stage = PluginStage(steering(tuning), train=likes_a_thousandth, seed=5)
    result = stage.run()
    assert (result.best_run_id, result.best_score, result.num_runs) == ("run-3", 1.0, 4)
    assert result.best_hyperparameters == {"learning_rate": 1e-3, "num_envs": 1}
    assert [run.seed for run in stage.runs] == [5, 6, 7, 8]
    assert stage.minutes == pytest.approx(20, abs=1)
    stage.check_replay()


def test_the_runs_of_a_population_train_for_themselves() -> None:
    def racing(context: PluginContext, api: PluginApi) -> Any:
        space = SearchSpace.parse({"learning_rate": {"loguniform": [1e-4, 1e-2]}})
        return api.tune(param_space=space, num_samples=4, scheduler=Pbt(perturbation_interval=10_000), mode="min")

    stage = PluginStage(steering(racing), train=likes_a_thousandth)
    result = stage.run()
    assert result.best_score == min(run.episodic_return for run in stage.runs)
    assert {run.generation for run in stage.runs} == {0}


def test_seeds_are_raced_and_configurations_ranked() -> None:
    def racing(context: PluginContext, api: PluginApi) -> Any:
        space = SearchSpace.parse({"learning_rate": {"choice": [1e-4, 1e-3]}})
        result = api.tune(param_space=space, search_alg=GridSearch(), scheduler=SeedRace(min_seeds=3, max_seeds=4))
        return result, api.get_ranking()

    def train(training: Training, step: int) -> float:
        return training.seed + 1e5 * training["learning_rate"]

    stage = PluginStage(steering(racing), train=train)
    result, ranking = stage.run()
    assert result.best_hyperparameters == {"learning_rate": 1e-3}
    assert (result.num_runs, result.is_clear) == (6, True)
    assert [each["hyperparameters"]["learning_rate"] for each in ranking["configurations"]] == [1e-3, 1e-4]
    stage.check_replay()


def test_runs_that_somebody_else_has_started_are_there() -> None:
    def reporting(context: PluginContext, api: PluginApi) -> list[int]:
        api.save_report("seen", "# Seen", files={"plot.png": b"png"})
        return [row["global_step"] for row in api.db.runs.find()]

    stage = PluginStage(steering(reporting), train=likes_a_thousandth)
    assert stage.add_run(minutes=5).state is RunState.RUNNING
    stage.add_run(hyperparameters={"learning_rate": 0.1}, seed=9)
    assert stage.run() == [200_000, 0]
    assert stage.runs[1].seed == 9
    assert (stage.reports_folder / "seen.md").read_text() == "# Seen"
    with pytest.raises(SpecError, match="has no such flag"):
        stage.add_run(hyperparameters={"rate": 0.1})
    folder = stage.reports_folder
    del stage
    gc.collect()
    assert not folder.exists()


def test_what_a_study_raises_is_raised_here_too() -> None:
    def tuning(context: PluginContext, api: PluginApi) -> Any:
        return api.tune(param_space=SearchSpace.parse({"learning_rate": {"choice": [1e-4]}}), num_samples=2)

    def both(context: PluginContext, api: PluginApi) -> Any:
        api.create_run()
        return tuning(context, api)

    def failing(training: Training, step: int) -> float:
        raise TrainingFails("diverged")

    stage = PluginStage(steering(tuning), train=failing)
    with pytest.raises(AllRunsFailed, match="all 2 runs failed, the first of them: diverged"):
        stage.run()
    assert stage.state is ExecutionState.FAILED
    assert str(stage.reason).startswith("AllRunsFailed: all 2 runs failed")
    with pytest.raises(PluginMistake, match="an execution does one of the two"):
        PluginStage(steering(both)).run()


def test_orders_of_the_api_are_those_of_a_cluster() -> None:
    def ordering(context: PluginContext, api: PluginApi) -> None:
        api.create_revision("a", config_updates={"net": {"depth": 3}}, environment_id="Acrobot-v1")
        run = api.create_run({"num_envs": 8})
        with pytest.raises(NotFound, match="no checkpoint"):
            api.deploy(run, "best")
        api.wait(minutes=5)
        assert api.deploy(run, "best") == 1
        run.stop("enough")
        assert api.get_run(run.run_id).config == run.config
        with pytest.raises(NotFound, match="no run 'nobody'"):
            api.get_run("nobody")
        assert api.db.runs.find({"state": "stopped"})[0]["reason"] == "stopped by plugin steering: enough"
        assert [each["number"] for each in api.get_experiment_data()["revisions"]] == [1, 2, 3]

    stage = PluginStage(steering(ordering), config={"net": {"depth": 2, "width": 64}})
    stage.run()
    assert stage.revisions[-1].config == {"net": {"depth": 3, "width": 64}}
    assert (stage.revisions[-1].env_id, stage.revisions[-1].flags) == ("Acrobot-v1", {"num_envs": 8})
    assert stage.deployed == [("best", "run-1")]
    with pytest.raises(SpecError, match="takes no nested configuration"):
        PluginStage(steering(ordering)).run()


def test_calls_of_another_thread_are_refused() -> None:
    def threading_(context: PluginContext, api: PluginApi) -> list[str]:
        raised: list[str] = []

        def call() -> None:
            try:
                api.create_run()
            except PluginMistake as exc:
                raised.append(str(exc))

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        return raised

    [raised] = PluginStage(steering(threading_)).run()
    assert raised.startswith("start_run was called in another thread")


def test_a_function_that_makes_calls_without_end_is_ended() -> None:
    def endless(context: PluginContext, api: PluginApi) -> None:
        while True:
            try:
                api.is_llm_available()
                api.db.runs.find()
            except Exception:  # noqa: BLE001 - what is tested
                continue

    with pytest.raises(AssertionError, match="has made 100 calls and not ended"):
        PluginStage(steering(endless), most_calls=100).run()


def test_a_replay_tells_the_first_call_that_differs_and_its_line() -> None:
    counter = itertools.count()

    def changing(context: PluginContext, api: PluginApi) -> None:
        api.create_run()
        api.add_note(f"call {next(counter)}")

    stage = PluginStage(steering(changing))
    stage.run()
    with pytest.raises(
        AssertionError, match=r"call 1 of the plugin \(test_stage.py, line \d+\) is add_note .*'call 1'"
    ):
        stage.check_replay()


@pytest.mark.parametrize(
    ("calls", "message"), [([2, 1], "ended after 1 calls, and before it went on"), ([1, 2], "had ended there before")]
)
def test_a_replay_tells_of_calls_that_are_missing_or_new(calls: list[int], message: str) -> None:
    counts = iter(calls)

    def changing(context: PluginContext, api: PluginApi) -> None:
        for _ in range(next(counts)):
            api.create_run()

    stage = PluginStage(steering(changing))
    stage.run()
    with pytest.raises(AssertionError, match=message):
        stage.check_replay()


def test_a_mutation_is_the_same_again() -> None:
    def mutating(context: PluginContext, api: PluginApi) -> None:
        api.create_revision("changed", hyperparameters=api.mutate_config({"learning_rate": 1e-3}))

    stage = PluginStage(steering(mutating))
    stage.run()
    stage.check_replay()


@register_plugin(name="guard", scope="run", description="stops what is bad")
def guard(context: PluginContext, api: PluginApi) -> Any:
    reached = context.metadata["episodic_return"]
    if math.isnan(reached):
        return None
    api.add_note(f"at {context.metadata['global_step']}", key="seen")
    if reached < 0:
        return "stop", "negative"
    return {1: "pause", 2: "what?"}.get(context.generation, "continue")


def test_a_plugin_looks_at_a_run_at_a_step_and_is_obeyed() -> None:
    stage = PluginStage(guard, train=lambda training, step: 1.0 if step <= 1234 else -1.0)
    assert stage.look(0) == ("continue", "")
    assert stage.look(1234) == ("continue", "")
    assert stage.look(2000) == ("stop", "negative")
    assert [(run.state, run.reason) for run in stage.runs] == [(RunState.STOPPED, "stopped by plugin guard: negative")]
    assert [(note.text, note.run_id) for note in stage.notes] == [("at 1234", "run-1")]
    with pytest.raises(PluginMistake, match="is stopped at step 2000: it does not come to 3000"):
        stage.look(3000)
    assert stage.look(1000, run=1, generation=1) == ("pause", "")
    assert (stage.runs[1].state, stage.runs[1].seed) == (RunState.PAUSED, 2)
    with pytest.raises(PluginMistake, match="it said 'what\\?' of a run"):
        stage.look(1000, run=2, generation=2)


def test_a_plugin_that_looks_at_runs_cannot_do_what_it_cannot_on_a_cluster() -> None:
    @register_plugin(name="greedy", scope="run", description="starts runs")
    def greedy(context: PluginContext, api: PluginApi) -> None:
        with pytest.raises(PluginMistake, match="there is no call 'wait'"):
            api.wait(seconds=1)
        assert api.get_run(context.target_id).name == context.metadata["name"]
        api.create_run()

    with pytest.raises(PluginMistake, match="a plugin with scope run cannot ask for start_run"):
        PluginStage(greedy).look(10)


def test_a_plugin_looks_at_revisions_and_says_why_they_are_refused() -> None:
    @register_plugin(name="limits", scope="revision", description="refuses large rates")
    def limits(context: PluginContext, api: PluginApi) -> list[str]:
        assert (context.execution_id, context.experiment_id) == ("", "experiment-1")
        flags = context.metadata["flags"]
        return ["the rate is too large"] if flags["learning_rate"] > 0.1 else []

    stage = PluginStage(limits, hyperparameters={"learning_rate": 0.01}, flags={"num_envs": 2})
    assert stage.propose() == []
    assert stage.propose(hyperparameters={"learning_rate": 1.0}) == ["the rate is too large"]
    with pytest.raises(SpecError, match="has no such flag; did you mean 'learning_rate'"):
        stage.propose(flags={"learning_rat": 1})


def test_a_stage_says_which_call_is_for_which_scope() -> None:
    with pytest.raises(
        PluginMistake, match=r"look\(\) is for plugins with scope run; rates has scope experiment: call run\("
    ):
        PluginStage(rates).look(1)
    with pytest.raises(PluginMistake, match=r"nothing to replay before run\(\)"):
        PluginStage(rates).check_replay()
    stage = PluginStage(rates, train=likes_a_thousandth)
    stage.run()
    with pytest.raises(PluginMistake, match="make another one"):
        stage.run()


def test_a_name_that_the_api_does_not_have_is_answered_with_the_nearest() -> None:
    def wrong(context: PluginContext, api: Any) -> None:
        api.create_runs()

    with pytest.raises(AttributeError, match="the api has no 'create_runs'; did you mean 'create_run'"):
        PluginStage(steering(wrong)).run()
