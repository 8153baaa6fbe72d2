"""Makes a runner's own environment, in steps; each is recorded when it is finished, so an interrupted setup goes on."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from arena_ray.model.errors import SetupFailed
from arena_ray.model.paths import RunnerFiles
from arena_ray.runner.installation import Installation
from arena_ray.runner.interpreters import missing_packages, version_of
from arena_ray.runner.protocol import Recipe

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+]*://.+|[\w.-]+@[\w.-]+:.+")
_LAST_LINES = 5
_TRIAL_S = 120.0
_NOT_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class _Step:
    """One step. It need not be done again if it was done with the same *ingredients*."""

    name: str
    ingredients: str
    do: Callable[[], None]


class Setup:
    """The making of one runner's environment.

    Args:
        runner: Name of the runner.
        recipe: What is made.
        files: Where.
        python: The interpreter to make it with.
        source: Path of a repository that is used where it is, or URL of one to clone; by default the recipe's.
        on_progress: Told of each step as it begins.
    """

    def __init__(
        self,
        runner: str,
        recipe: Recipe,
        *,
        files: RunnerFiles,
        python: Path,
        source: str | None = None,
        on_progress: Callable[[str], None] = lambda step: None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._runner = runner
        self._recipe = recipe
        self._files = files
        self._python = python
        self._source = _source(source or recipe.repository)
        self._on_progress = on_progress
        self._environ = {key: value for key, value in environ.items() if key not in _NOT_PASSED_ON}
        self._environ |= {"GIT_TERMINAL_PROMPT": "0", "OMP_NUM_THREADS": "1"}

    @property
    def repository(self) -> Path:
        """Where the repository is, or will be."""
        return self._files.repository if _is_url(self._source) else Path(self._source)

    def run(self, before: Installation | None = None) -> Installation:
        """Do what was not done *before*, and return what there is then.

        Raises:
            SetupFailed: A step failed, or another setup of the same runner is at work.
        """
        self._files.root.mkdir(parents=True, exist_ok=True)
        with self._alone():
            done, steps, is_changed = self._still_there(before), self._steps(), False
            for number, step in enumerate(steps, 1):
                is_trial = number == len(steps)
                if done.get(step.name) == step.ingredients and not (is_trial and is_changed):
                    continue
                is_changed = True
                done.pop(step.name, None)
                self._record(done)  # what is killed while it is at work is not done
                self._on_progress(f"step {number} of {len(steps)}: {step.name}")
                step.do()
                done[step.name] = step.ingredients
            kept = {step.name: step.ingredients for step in steps}
            return self._record(kept, is_complete=True)

    def _still_there(self, before: Installation | None) -> dict[str, str]:
        done = dict(before.steps) if before is not None else {}
        if not self._files.interpreter.is_file():
            done.pop("venv", None)
        if not self._has_scripts():
            done.pop("repository", None)
        for packages in self._recipe.packages:
            if missing_packages(self._files.interpreter, packages):
                done.pop(_pip_step(packages), None)
        return done

    def _has_scripts(self) -> bool:
        return any((self.repository / self._recipe.scripts).glob("*.py"))

    def _steps(self) -> list[_Step]:
        inside = f"{self._python} {version_of(self._python)}"
        steps = [_Step("repository", self._source, self._get_repository), _Step("venv", inside, self._make_venv)]
        for packages in self._recipe.packages:
            inside = " ".join([inside, *packages])  # what is installed first decides what comes with the rest
            steps.append(_Step(_pip_step(packages), inside, partial(self._install, packages)))
        return [*steps, _Step("trial", " ".join([self._source, inside, *self._recipe.trial]), self._try)]

    def _record(self, steps: Mapping[str, str], *, is_complete: bool = False) -> Installation:
        installation = Installation(
            runner=self._runner,
            source=self._source,
            python=str(self._python),
            repository=str(self.repository),
            scripts=str(self.repository / self._recipe.scripts),
            interpreter=str(self._files.interpreter),
            steps=dict(steps),
            is_complete=is_complete,
        )
        installation.write(self._files)
        return installation

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._files.log.open("a", encoding="utf-8") as log:
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                raise SetupFailed("setup", reason=f"another one is at work in {self._files.root}; wait for it") from exc
            yield

    def _get_repository(self) -> None:
        if _is_url(self._source):
            unfinished = self._files.repository.with_suffix(".partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.rmtree(self._files.repository, ignore_errors=True)
            self._call("git clone", ["git", "clone", "--depth", "1", "--", self._source, str(unfinished)])
            unfinished.rename(self._files.repository)
        if not self._has_scripts():
            where = self.repository / self._recipe.scripts
            raise SetupFailed("repository", reason=f"there are no scripts in {where}; name a clone with --from PATH")

    def _make_venv(self) -> None:
        shutil.rmtree(self._files.environment, ignore_errors=True)
        self._call("venv", [str(self._python), "-m", "venv", str(self._files.environment)])

    def _install(self, packages: Sequence[str]) -> None:
        pip = [str(self._files.interpreter), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
        self._call("pip", [*pip, *packages])

    def _try(self) -> None:
        name, *flags = self._recipe.trial
        script = self.repository / self._recipe.scripts / f"{name}.py"
        with TemporaryDirectory() as directory:
            command = [str(self._files.interpreter), str(script), *flags]
            environ = {**self._environ, "PYTHONPATH": str(self.repository)}
            printed = self._call("trial", command, cwd=directory, environ=environ, timeout_s=_TRIAL_S)
        if self._recipe.trial_sign not in printed:
            raise SetupFailed("trial", reason=f"{name} printed no {self._recipe.trial_sign!r}; see {self._files.log}")

    def _call(
        self,
        step: str,
        command: list[str],
        *,
        cwd: str | None = None,
        environ: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> str:
        """Run *command* to its end and return what it printed, which also goes into the log."""
        with self._files.log.open("a+", encoding="utf-8", errors="replace") as log:
            log.write(f"\n{time.strftime('%Y-%m-%d %H:%M:%S')} {command}\n")
            log.flush()
            begin = log.tell()
            try:
                done = subprocess.run(
                    command,
                    cwd=cwd or self._files.root,
                    env=environ or self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=timeout_s,
                    check=False,
                )
            except subprocess.TimeoutExpired as exc:
                raise SetupFailed(step, reason=f"it did not end within {exc.timeout:g} s") from exc
            except OSError as exc:
                raise SetupFailed(step, reason=f"{command[0]} cannot be started: {exc.strerror or exc}") from exc
            log.seek(begin)
            printed = log.read()
        if done.returncode != 0:
            last = "\n".join(printed.strip().splitlines()[-_LAST_LINES:]) or "it said nothing"
            raise SetupFailed(step, reason=f"exit code {done.returncode}, see {self._files.log}\n{last}")
        return printed


def _pip_step(packages: Sequence[str]) -> str:
    return f"pip install {' '.join(packages)}"


def _is_url(source: str) -> bool:
    return _URL.fullmatch(source) is not None


def _source(asked: str) -> str:
    """Return *asked* as it is recorded: a URL as it is, a directory by its absolute path.

    Raises:
        SetupFailed: It is neither.
    """
    if _is_url(asked):
        return asked
    path = Path(asked).expanduser().resolve()
    if not path.is_dir():
        raise SetupFailed("repository", reason=f"{asked} is neither a directory nor a URL that git could clone")
    return str(path)
