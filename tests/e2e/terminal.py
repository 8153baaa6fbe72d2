"""A person at a terminal: the ``arena`` command in child processes, in a directory and a workspace of her own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from cluster_kit import SCRIPTS, Arena
from waiting import PATIENCE_S, wait_until

from arena_ray.model.errors import RegistryError
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.orchestrator.reader import RegistryReader

ARENA = Path(sys.executable).with_name("arena")
COUNTER = {
    "experiment": "count",
    "runner": "cleanrl",
    "script": "counter.py",
    "env_id": "CartPole-v1",
    "flags": {"total_timesteps": 200},
    "checkpoint": {"every_s": 0.5},
}


@dataclass(frozen=True)
class Finished:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


class Terminal:
    """*directory* is the working directory, so that whatever a command starts can be found by it."""

    def __init__(self, directory: Path, *, scratch: Path) -> None:
        self.directory = directory
        self.workspace = Workspace(directory / "home")
        self._scratch = scratch
        shutil.copy(SCRIPTS / "counter.py", directory)

    @property
    def environment(self) -> dict[str, str]:
        """As a login shell gives it: nothing of the tests' own, temporary files where they can be counted."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "ARENA_", "PYTEST_"))}
        own = {"ARENA_HOME": self.workspace.home, "HOME": self.directory, "TMPDIR": self._scratch}
        return kept | {key: str(path) for key, path in own.items()}

    def write(self, name: str, **keys: Any) -> str:
        """Write the experiment file *name*: the counting one but for *keys*; a key that is None is left out."""
        content = {key: value for key, value in (COUNTER | keys).items() if value is not None}
        (self.directory / name).write_text(yaml.safe_dump(content, sort_keys=False))
        return name

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start ``arena`` with *words*, in a process group of its own as a shell does."""
        return subprocess.Popen(
            [ARENA, *words],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def arena(self, *words: str, timeout_s: float = PATIENCE_S) -> Finished:
        """Run ``arena`` with *words* to its end."""
        return end(self.begin(*words), timeout_s=timeout_s)

    def ask(self, *words: str) -> Any:
        """Return what ``arena`` prints for programs."""
        finished = self.arena(*words, "--json")
        assert finished.code == 0, finished.err
        return json.loads(finished.out)

    def run_of(self, experiment: str) -> Run | None:
        """Return the one run of *experiment*, if it has been accepted; reads the registry, which costs little."""
        try:
            with RegistryReader(self.workspace) as reader:
                found = [run for run in reader.runs() if run.experiment == experiment]
        except RegistryError:  # it is being made at this moment
            return None
        assert len(found) < 2, found
        return found[0] if found else None

    def wait_for_run(self, experiment: str, is_there: Callable[[Run], bool], what: str) -> Run:
        """Return the run of *experiment* as soon as it is as *is_there* wants it."""
        return wait_until(lambda: (run := self.run_of(experiment)) and is_there(run) and run, what=what)

    def processes(self) -> list[str]:
        """Return the command lines of all that was started from here and still lives."""
        return Arena.processes_naming(str(self.directory))

    def wait_until_quiet(self, *, timeout_s: float = PATIENCE_S) -> None:
        """Wait until nothing that was started from here is left."""
        wait_until(lambda: not self.processes(), timeout_s=timeout_s, what="a quiet machine")

    def scratch(self) -> list[Path]:
        """Return the directories that Ray was given and that nobody has removed."""
        return list(self._scratch.glob("arena-ray-*"))

    def end_everything(self) -> None:
        """End what a failed test has left."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if str(self.directory) in " ".join([*process.cmdline(), process.cwd()]):
                    process.kill()


def wait_until_it_watches(process: subprocess.Popen[str]) -> None:
    """Read what the command says until it tells where its run stands."""
    assert process.stderr is not None
    assert any(", step " in line for line in process.stderr), "it has ended"


def interrupt(process: subprocess.Popen[str]) -> Finished:
    """Press Ctrl-C, which a terminal sends to the whole process group, and wait for the end."""
    os.killpg(process.pid, signal.SIGINT)
    return end(process)


def end(process: subprocess.Popen[str], *, timeout_s: float = PATIENCE_S) -> Finished:
    """Wait for the end of *process*; one that takes too long is ended and fails the test."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"not at its end within {timeout_s:g} s: {out}{err}") from None
    return Finished(process.returncode, out, err)
