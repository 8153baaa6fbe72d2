"""What is checked before a run is queued."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from arena_ray.model.errors import CudaRequired, NoMainLoop, ScriptNotFound, SpecError
from arena_ray.model.spec import ExperimentSpec
from arena_ray.runner.bundle import Bundle
from arena_ray.runner.preflight import Submission, command, prepare, recheck, training_command
from arena_runners.cleanrl import CleanRLRunner

RUNNERS = {"cleanrl": CleanRLRunner()}
LOOP = "for step in range(3):\n    env.step(step)\n"


def spec(**changes: object) -> ExperimentSpec:
    content = {"experiment": "e", "runner": "cleanrl", "script": "ppo", "env_id": "CartPole-v1", **changes}
    return ExperimentSpec.model_validate(content)


def test_a_shipped_script_is_bundled_with_its_checked_flags(tmp_path: Path) -> None:
    asked = spec(hyperparameters={"learning_rate": 1}, flags={"total_timesteps": 1e5}, resources={"gpu": 1})
    submission = prepare(asked, base=tmp_path, runners=RUNNERS)
    assert submission.bundle.entry == "ppo.py"
    assert submission.bundle.files["ppo.py"] == RUNNERS["cleanrl"].scripts()["ppo"].read_text()
    assert submission.flags == {"cuda": True, "total_timesteps": 100000, "learning_rate": 1.0}
    assert submission.warnings == ()


def test_a_submission_survives_json(tmp_path: Path) -> None:
    submission = prepare(spec(hyperparameters={"target_kl": None}), base=tmp_path, runners=RUNNERS)
    assert Submission.model_validate_json(submission.model_dump_json()) == submission


def test_a_script_is_found_beside_its_experiment_file_before_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("base", "work"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(f"# {name}\n{LOOP}")
    (tmp_path / "work/other.py").write_text(LOOP)
    monkeypatch.chdir(tmp_path / "work")
    found = prepare(spec(script="mine.py"), base=tmp_path / "base", runners=RUNNERS)
    assert found.bundle.files["mine.py"].startswith("# base")
    assert prepare(spec(script="other.py"), base=tmp_path / "base", runners=RUNNERS).bundle.entry == "other.py"


def test_a_script_without_seed_or_env_id_is_taken_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(LOOP)
    submission = prepare(spec(script="mine.py"), base=tmp_path, runners=RUNNERS)
    assert submission.warnings == (
        "mine.py has no flag 'env_id': 'CartPole-v1' is recorded, but not given to it",
        "mine.py has no flag 'seed': 1 is recorded, but not given to it",
    )


@pytest.mark.parametrize("script", ["pp0", "no/such.py", ".", "x" * 5000, "nul\0byte", "~nobody-here/x.py"])
def test_a_script_that_is_nowhere_is_refused(tmp_path: Path, script: str) -> None:
    with pytest.raises(ScriptNotFound):
        prepare(spec(script=script), base=tmp_path, runners=RUNNERS)


def test_the_nearest_shipped_script_is_offered(tmp_path: Path) -> None:
    with pytest.raises(ScriptNotFound, match="did you mean 'ppo'"):
        prepare(spec(script="pppo"), base=tmp_path, runners=RUNNERS)


def test_an_unknown_runner_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no runner 'cleanrI'; did you mean 'cleanrl'"):
        prepare(spec(runner="cleanrI"), base=tmp_path, runners=RUNNERS)


def test_a_script_without_a_main_loop_is_warned_of_and_no_plugin_can_steer_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("print('no loop')\n")
    [*_, warning] = prepare(spec(script="mine.py"), base=tmp_path, runners=RUNNERS).warnings
    assert warning == "mine.py has no main loop: it runs and can be stopped, but not paused or resumed"
    with pytest.raises(NoMainLoop, match=r"mine\.py has no main loop"):
        prepare(spec(script="mine.py", plugin={"name": "pbt"}), base=tmp_path, runners=RUNNERS)


def test_a_syntax_error_of_the_script_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1\nfor = 3\n")
    with pytest.raises(SpecError, match=r"mine\.py:2: not valid Python"):
        prepare(spec(script="mine.py"), base=tmp_path, runners=RUNNERS)


def test_a_flag_that_the_shipped_script_computes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"batch_size.* in line \d+ from num_envs, num_steps"):
        prepare(spec(flags={"batch_size": 64}), base=tmp_path, runners=RUNNERS)


def test_a_script_that_demands_cuda_needs_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f'device = torch.device("cuda")\n{LOOP}')
    with pytest.raises(CudaRequired, match="asks for no GPU"):
        prepare(spec(script="mine.py"), base=tmp_path, runners=RUNNERS)
    assert prepare(spec(script="mine.py", resources={"gpu": 1}), base=tmp_path, runners=RUNNERS).report.requires_cuda


def test_environments_registered_by_a_module_beside_the_script_count(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"import gymnasium, levels, minigrid\n{LOOP}")
    (tmp_path / "levels.py").write_text("import gymnasium\ngymnasium.register('L-v0', entry_point='levels:Level')\n")
    report = prepare(spec(script="mine.py"), base=tmp_path, runners=RUNNERS).report
    assert report.registers_environments
    assert report.imports == ("gymnasium", "minigrid")


def test_the_server_believes_nothing_but_spec_and_bundle(tmp_path: Path) -> None:
    honest = prepare(spec(flags={"total_timesteps": 1000}), base=tmp_path, runners=RUNNERS)
    forged = honest.model_copy(update={"flags": {"track": True}, "warnings": ("x",)})
    assert recheck(forged, runners=RUNNERS) == honest
    no_flags = honest.model_copy(update={"bundle": Bundle(entry="ppo.py", files={"ppo.py": "print(1)\n"})})
    with pytest.raises(SpecError, match="total_timesteps"):
        recheck(no_flags, runners=RUNNERS)
    wrong = honest.model_copy(update={"spec": spec(flags={"lerning_rate": 1.0})})
    with pytest.raises(SpecError, match="did you mean 'learning_rate'"):
        recheck(wrong, runners=RUNNERS)


def test_the_command_is_the_interpreter_the_script_and_its_flags(tmp_path: Path) -> None:
    submission = prepare(spec(seed=7, hyperparameters={"anneal_lr": False}), base=tmp_path, runners=RUNNERS)
    script = submission.bundle.materialise(tmp_path / "bundles")
    expected = [sys.executable, str(script), "--seed", "7", "--no-cuda", "--env-id", "CartPole-v1", "--no-anneal-lr"]
    assert command(submission, runner=RUNNERS["cleanrl"], script=script, interpreter=Path(sys.executable)) == expected
    again = training_command(
        RUNNERS["cleanrl"], script=script, flags=submission.flags, env_id="CartPole-v1", seed=8, interpreter="/py"
    )
    assert again == ["/py", str(script), "--seed", "8", *expected[4:]]


def test_preflight_imports_neither_torch_nor_ray_nor_gymnasium(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from arena_ray.model.spec import ExperimentSpec\nfrom arena_ray.runner.preflight import prepare\n"
        "from arena_runners.cleanrl import CleanRLRunner\n"
        "spec = ExperimentSpec(experiment='e', runner='cleanrl', script='dqn', env_id='X')\n"
        "prepare(spec, base=Path(), runners={'cleanrl': CleanRLRunner()})\n"
        "print(sorted({'torch', 'ray', 'gymnasium', 'numpy'} & sys.modules.keys()))\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout.strip() == "[]", child.stderr
