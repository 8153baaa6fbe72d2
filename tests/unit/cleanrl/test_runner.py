"""The built-in runner, as an experiment file meets it."""

import sys
from pathlib import Path

from arena_ray.runner.protocol import Runner
from arena_runners.cleanrl import CleanRLRunner


def test_it_is_a_runner_with_scripts() -> None:
    runner = CleanRLRunner()
    assert isinstance(runner, Runner)
    continuous = ["ppo_continuous_action", "sac_continuous_action", "td3_continuous_action"]
    assert sorted(runner.scripts()) == sorted(["c51", "dqn", "ppo", *continuous])
    assert runner.interpreter() == Path(sys.executable)


def test_it_promises_no_exact_resume_for_scripts_it_has_not_seen() -> None:
    assert CleanRLRunner().capabilities.resume == "warm"


def test_what_ppo_computes_is_known_with_its_sources() -> None:
    runner = CleanRLRunner()
    source = runner.scripts()["ppo"].read_text()
    report = runner.inspect(source, path="ppo")
    computed = {one.name: one for one in report.arguments if one.overwritten_line is not None}
    assert {name: one.computed_from for name, one in computed.items()} == {
        "batch_size": ("num_envs", "num_steps"),
        "minibatch_size": ("batch_size", "num_minibatches"),
        "num_iterations": ("total_timesteps", "batch_size"),
    }
    for name, one in computed.items():
        assert f"args.{name} = " in source.splitlines()[(one.overwritten_line or 0) - 1]


def test_the_main_loops_of_the_shipped_scripts_are_those_that_train() -> None:
    runner = CleanRLRunner()
    heads = {}
    for name, path in runner.scripts().items():
        source = path.read_text()
        loop = runner.inspect(source, path=name).main_loop
        assert loop is not None
        heads[name] = source.splitlines()[loop.line - 1].strip()
    iterations = "for iteration in range(1, args.num_iterations + 1):"
    steps = "for global_step in range(0, args.total_timesteps, args.num_envs):"
    assert heads == {name: iterations if name.startswith("ppo") else steps for name in runner.scripts()}


def test_the_shipped_scripts_run_with_and_without_cuda() -> None:
    runner = CleanRLRunner()
    for name, path in runner.scripts().items():
        report = runner.inspect(path.read_text(), path=name)
        assert not report.requires_cuda
        assert not report.registers_environments
