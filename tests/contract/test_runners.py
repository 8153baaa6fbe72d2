"""What every installed runner must keep, ours and anybody else's."""

import ast
import math
import re
from pathlib import Path

import pytest

from arena_ray.model.errors import SpecError
from arena_ray.model.events import TrainingStep
from arena_ray.model.spec import ExperimentSpec
from arena_ray.runner.discovery import load_runners
from arena_ray.runner.preflight import prepare, training_command
from arena_ray.runner.protocol import Installable, Runner

INSTALLED = load_runners()
SCRIPTS = [
    pytest.param(runner, name, id=f"{runner.name}-{name}")
    for runner in INSTALLED.runners.values()
    for name in runner.scripts()
]
every_runner = pytest.mark.parametrize("runner", INSTALLED.runners.values(), ids=list(INSTALLED.runners))
every_script = pytest.mark.parametrize(("runner", "name"), SCRIPTS)


def test_the_built_in_runner_comes_in_by_its_entry_point() -> None:
    assert "cleanrl" in INSTALLED.runners


def test_no_installed_runner_is_broken() -> None:
    assert INSTALLED.broken == ()


@every_runner
def test_a_runner_describes_itself_in_one_line(runner: Runner) -> None:
    assert runner.description
    assert "\n" not in runner.description
    assert runner.capabilities.resume in ("none", "warm", "exact")
    assert all(isinstance(tag, str) for tag in runner.timing_tags)


@every_runner
def test_its_interpreter_is_there(runner: Runner) -> None:
    assert runner.interpreter().is_file()


@every_runner
def test_it_answers_text_that_is_no_script_with_a_spec_error(runner: Runner) -> None:
    with pytest.raises(SpecError, match=r"broken\.py"):
        runner.inspect("def = 3", path="broken.py")


@every_runner
def test_a_step_without_an_episode_tells_of_none(runner: Runner) -> None:
    assert runner.episodes(TrainingStep(1, 10, {"losses/value_loss": 0.5}, 0.0)) is None


@every_runner
def test_a_recipe_pins_each_package_and_tries_a_script(runner: Runner) -> None:
    if isinstance(runner, Installable):
        packages = [package for step in runner.recipe.packages for package in step]
        assert packages
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", package) for package in packages)
        assert runner.recipe.trial
        assert runner.recipe.trial_sign


@every_script
def test_a_shipped_script_passes_preflight_as_it_is(runner: Runner, name: str, tmp_path: Path) -> None:
    spec = ExperimentSpec(experiment="e", runner=runner.name, script=name, env_id="CartPole-v1", seed=3)
    submission = prepare(spec, base=tmp_path, runners={runner.name: runner})
    assert submission.report.main_loop is not None
    entry = submission.bundle.materialise(tmp_path)
    words = training_command(runner, script=entry, flags=submission.flags, env_id=spec.env_id, seed=spec.seed)
    assert words[:2] == [str(runner.interpreter()), str(entry)]
    assert "CartPole-v1" in words
    assert "3" in words


@every_script
def test_every_flag_of_a_shipped_script_is_described(runner: Runner, name: str) -> None:
    report = runner.inspect(runner.scripts()[name].read_text(encoding="utf-8"), path=name)
    assert report.arguments
    assert [one.name for one in report.arguments if not one.help] == []


@every_script
def test_a_shipped_script_owes_nothing_to_arena_ray(runner: Runner, name: str) -> None:
    report = runner.inspect(runner.scripts()[name].read_text(encoding="utf-8"), path=name)
    assert not {"arena_ray", "arena_runners", "ray"} & set(report.imports)


@every_script
def test_a_shipped_script_does_nothing_on_import(runner: Runner, name: str) -> None:
    tree = ast.parse(runner.scripts()[name].read_text(encoding="utf-8"))
    allowed = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Expr, ast.If)
    assert all(isinstance(node, allowed) for node in tree.body)
    assert [ast.unparse(node.test) for node in tree.body if isinstance(node, ast.If)] == ["__name__ == '__main__'"]


def test_the_built_in_runner_reads_episodes_from_the_scalars() -> None:
    runner = INSTALLED.runners["cleanrl"]
    episode = runner.episodes(
        TrainingStep(2, 60, {"charts/episodic_return": 15.0, "charts/episodic_length": 15.0}, wall_time=9.0)
    )
    assert episode is not None
    assert (episode.boundary, episode.global_step, episode.episodic_return) == (2, 60, 15.0)
    assert (episode.episodic_length, episode.wall_time) == (15.0, 9.0)
    lone = runner.episodes(TrainingStep(2, 60, {"charts/episodic_return": 15.0}, wall_time=9.0))
    assert lone is not None
    assert math.isnan(lone.episodic_length)
