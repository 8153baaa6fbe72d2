"""Questions to the runner's interpreter, each asked in a real child process."""

import sys
from pathlib import Path

import pytest

from arena_ray.model.errors import CudaRequired, UnknownEnvironment
from arena_ray.runner.environment import check_cuda, check_environment


def fake_python(directory: Path, body: str) -> Path:
    """Return an executable that stands in for an interpreter which misbehaves."""
    path = directory / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def python_without(directory: Path, *modules: str) -> Path:
    """Return this interpreter with broken *modules* before all others."""
    for module in modules:
        (directory / f"{module}.py").write_text("raise ImportError('not installed here')\n")
    return fake_python(directory, f'PYTHONPATH="{directory}" exec "{sys.executable}" "$@"')


@pytest.mark.parametrize("env_id", ["CartPole-v1", "gymnasium:CartPole-v1"])
def test_a_registered_environment_passes(env_id: str) -> None:
    check_environment(env_id, interpreter=sys.executable)


@pytest.mark.parametrize("env_id", ["CartPole-v7", "Cartpole-v1", "cartpole"])
def test_an_unknown_environment_is_refused_with_the_nearest(env_id: str) -> None:
    with pytest.raises(UnknownEnvironment, match=r"did you mean .*'CartPole-v1'") as caught:
        check_environment(env_id, interpreter=sys.executable)
    assert caught.value.env_id == env_id


@pytest.mark.parametrize(
    ("env_id", "reason"), [("NoSuchSpace/Pong-v5", "Namespace NoSuchSpace not found"), ("no_module:X-v0", "no_module")]
)
def test_an_unknown_namespace_or_module_is_named(env_id: str, reason: str) -> None:
    with pytest.raises(UnknownEnvironment, match=reason):
        check_environment(env_id, interpreter=sys.executable)


def test_an_environment_that_a_package_registers_on_import_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_levels.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Level-v0', entry_point='gymnasium.envs.classic_control.cartpole:CartPoleEnv')\n"
        "print('levels loaded')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check_environment("Level-v0", interpreter=sys.executable, imports=("gymnasium", "my_levels", "not_installed"))
    check_environment("my_levels:Level-v0", interpreter=sys.executable)
    with pytest.raises(UnknownEnvironment):
        check_environment("Level-v0", interpreter=sys.executable)


def test_only_what_is_not_known_is_asked_for_again(tmp_path: Path) -> None:
    log = tmp_path / "asked"
    python = fake_python(tmp_path, f'echo "$3" >> {log}; exec "{sys.executable}" "$@"')
    for _ in range(2):
        check_environment("CartPole-v1", interpreter=python)
        with pytest.raises(UnknownEnvironment):
            check_environment("CartPole-v7", interpreter=python)
    assert log.read_text().split() == ["CartPole-v1", "CartPole-v7", "CartPole-v7"]


def test_a_script_with_environments_of_its_own_is_not_asked_for() -> None:
    check_environment("Mine-v0", interpreter="/no/such/python", script_registers=True)
    check_environment("Mine-v0", interpreter="/no/such/python", imports=("numpy",))


def test_an_interpreter_that_is_not_there_is_named() -> None:
    with pytest.raises(UnknownEnvironment, match="/no/such/python cannot be started"):
        check_environment("CartPole-v1", interpreter="/no/such/python")


def test_an_interpreter_without_gymnasium_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnknownEnvironment, match="gymnasium cannot be imported: not installed here"):
        check_environment("CartPole-v1", interpreter=python_without(tmp_path, "gymnasium"))


def test_an_interpreter_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(UnknownEnvironment, match=r"did not answer within 0\.2 s"):
        check_environment("CartPole-v1", interpreter=fake_python(tmp_path, "exec sleep 30"), timeout_s=0.2)


def test_an_interpreter_that_crashes_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(UnknownEnvironment, match="exit code 3: no luck"):
        check_environment("CartPole-v1", interpreter=fake_python(tmp_path, "echo no luck >&2; exit 3"))


def test_missing_cuda_is_told_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(CudaRequired, match=r"my\.py requires CUDA, and torch cannot be imported: not installed here"):
        check_cuda("my.py", interpreter=python_without(tmp_path, "torch"))


@pytest.mark.parametrize("available", [True, False])
def test_cuda_is_what_torch_says(tmp_path: Path, available: bool) -> None:
    python = python_without(tmp_path)
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("from torch import cuda\n")
    (tmp_path / "torch/cuda.py").write_text(f"def is_available():\n    return {available}\n")
    if available:
        check_cuda("my.py", interpreter=python)
    else:
        with pytest.raises(CudaRequired, match="is_available\\(\\) is false"):
            check_cuda("my.py", interpreter=python)
