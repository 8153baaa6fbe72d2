"""Which Python an environment is made with."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from arena_ray.model.errors import SetupFailed
from arena_ray.runner.interpreters import find_interpreter, missing_packages, version_of

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def python_of(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def test_this_interpreter_will_do_if_it_has_the_version() -> None:
    assert find_interpreter(HERE) == Path(sys.executable)
    assert find_interpreter(f"python{HERE}") == Path(sys.executable)


def test_others_are_looked_for_on_the_path_and_then_among_those_of_pyenv(tmp_path: Path) -> None:
    python_of(tmp_path / "pyenv/versions/9.8.2/bin/python", "9.8.2")
    newest = python_of(tmp_path / "pyenv/versions/9.8.10/bin/python", "9.8.10")
    environ = {"PATH": str(tmp_path / "bin"), "PYENV_ROOT": str(tmp_path / "pyenv")}
    assert find_interpreter("9.8", environ=environ) == newest
    # a shim bears the name, and is another version all the same
    python_of(tmp_path / "bin/python9.8", "9.7.1")
    assert find_interpreter("9.8", environ=environ) == newest
    (tmp_path / "bin/python9.8").write_text("#!/bin/sh\necho 9.8.1\n")
    assert find_interpreter("9.8", environ=environ) == tmp_path / "bin/python9.8"
    with pytest.raises(SetupFailed, match=r"no Python 9\.1, neither on the PATH nor in .*pyenv.*--python /path"):
        find_interpreter("9.1", environ=environ)


def test_a_path_is_taken_as_it_is_if_it_answers(tmp_path: Path) -> None:
    assert find_interpreter(sys.executable) == Path(sys.executable)
    with pytest.raises(SetupFailed, match="is no Python that can make virtual environments"):
        find_interpreter(str(tmp_path / "python"))
    with pytest.raises(SetupFailed, match=r"neither a version, such as 3\.11, nor a path"):
        find_interpreter("snake")


def test_packages_of_another_version_are_missing(tmp_path: Path) -> None:
    here = Path(sys.executable)
    version = metadata.version("click")
    assert missing_packages(here, [f"click=={version}", "click==0.0.1", "no-such-package==1"]) == [
        "click==0.0.1",
        "no-such-package==1",
    ]
    assert missing_packages(tmp_path / "python", ["click==1"]) == ["click==1"]
    assert version_of(tmp_path / "python") is None
