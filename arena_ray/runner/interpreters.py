"""Finding the Python that a runner's own environment is made with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from arena_ray.model.errors import SetupFailed

_TIMEOUT_S = 20.0
_ASK = "import sys, venv; print('.'.join(map(str, sys.version_info[:3])))"
_VERSIONS = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    try:
        print(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        print()
"""
_VERSION = re.compile(r"(?:python)?(\d+(?:\.\d+){0,2})")


def find_interpreter(asked: str, *, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the interpreter that is meant by *asked*: a path, or a version such as ``3.11`` or ``python3.11``.

    A version is looked for in this process, then on the PATH, then among pyenv's.

    Raises:
        SetupFailed: There is none, or it does not answer or cannot make environments.
    """
    if os.sep in asked:
        path = Path(asked).expanduser().absolute()
        if version_of(path) is None:
            raise SetupFailed("finding Python", reason=f"{path} is no Python that can make virtual environments")
        return path
    match = _VERSION.fullmatch(asked)
    if match is None:
        raise SetupFailed("finding Python", reason=f"{asked!r} is neither a version, such as 3.11, nor a path")
    for path in _candidates(match[1], environ):
        if _is_of(version_of(path), match[1]):
            return path
    raise SetupFailed(
        "finding Python",
        reason=f"there is no Python {match[1]}, neither on the PATH nor in {_pyenv(environ)}; install it, or name one "
        "with --python /path/to/python",
    )


def version_of(interpreter: Path) -> str | None:
    """Return the version of *interpreter*, or None where it does not answer or cannot make environments."""
    try:
        answer = subprocess.run(
            [str(interpreter), "-I", "-c", _ASK], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def missing_packages(interpreter: Path, packages: Sequence[str]) -> list[str]:
    """Return those of *packages*, each as ``name==version``, that *interpreter* does not have in that version."""
    names = [package.partition("==")[0] for package in packages]
    try:
        answer = subprocess.run(
            [str(interpreter), "-I", "-c", _VERSIONS, *names],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return list(packages)
    installed = dict(zip(names, answer.stdout.splitlines(), strict=False))
    # what is installed may have a local part, such as +cpu
    found = {f"{name}=={version.partition('+')[0]}" for name, version in installed.items()}
    return [package for package in packages if package not in found]


def _is_of(version: str | None, asked: str) -> bool:
    return version is not None and f"{version}.".startswith(f"{asked}.")


def _pyenv(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "~")).expanduser() / ".pyenv") / "versions"


def _candidates(version: str, environ: Mapping[str, str]) -> Iterator[Path]:
    yield Path(sys.executable)
    short = ".".join(version.split(".")[:2])
    for name in (f"python{version}", f"python{short}", "python3"):
        if found := shutil.which(name, path=environ.get("PATH")):
            yield Path(found)
    installed = [path for path in _pyenv(environ).glob("*/bin/python") if _is_of(path.parents[1].name, version)]
    yield from sorted(installed, key=lambda path: _numbers(path.parents[1].name), reverse=True)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
