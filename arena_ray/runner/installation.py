"""A runner's own environment, once it was made: what of it is there, and which scripts it is for.

Original scripts are named ``upstream/<file name without .py>``; a runner's shipped scripts have no such prefix.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from arena_ray.model.errors import NotSetUp
from arena_ray.model.paths import RunnerFiles, Workspace
from arena_ray.model.spec import Strict
from arena_ray.runner.protocol import Runner

UPSTREAM = "upstream/"


class Installation(Strict):
    """What ``arena runners setup`` has done so far. Written anew after each step."""

    runner: str
    source: str
    """Path or URL of the repository, as it was asked for."""
    python: str
    """The interpreter that the environment was made with."""
    repository: str = ""
    scripts: str = ""
    """Directory of the original scripts."""
    interpreter: str = ""
    """Python of the environment."""
    steps: dict[str, str] = Field(default_factory=dict)
    """Each step that is done, and what it was done with."""
    is_complete: bool = False
    """Whether all steps are done; the last of them is a trial."""

    def script_files(self) -> Mapping[str, Path]:
        """Return the original scripts by the names that they have in experiment files."""
        found = sorted(Path(self.scripts).glob("*.py")) if self.is_complete else []
        return {UPSTREAM + path.stem: path for path in found}

    def write(self, files: RunnerFiles) -> None:
        """Write it where :func:`get_installation` finds it."""
        files.root.mkdir(parents=True, exist_ok=True)
        partial = files.installation.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as file:
            file.write(self.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(files.installation)


def get_installation(workspace: Workspace, runner: str) -> Installation | None:
    """Return what was made for the runner of this name, complete or not; None where that cannot be told."""
    try:
        text = workspace.runner(runner).installation.read_text(encoding="utf-8")
        return Installation.model_validate(json.loads(text))
    except (OSError, ValueError, ValidationError):
        return None


def require_installation(workspace: Workspace, runner: str) -> Installation:
    """Return the complete installation of the runner of this name.

    Raises:
        NotSetUp: There is none, it is not complete, or its interpreter is gone.
    """
    found = get_installation(workspace, runner)
    if found is None:
        raise NotSetUp(runner, reason="their environment was not made yet")
    if not found.is_complete:
        raise NotSetUp(runner, reason="making their environment was interrupted")
    if not Path(found.interpreter).is_file():
        raise NotSetUp(runner, reason=f"{found.interpreter} is not there")
    return found


def is_upstream(script: str) -> bool:
    """Whether *script*, as an experiment file names it, is an original one, and not shipped or a file."""
    return script.startswith(UPSTREAM) and not script.endswith(".py")


def interpreter_for(runner: Runner, script: str, *, workspace: Workspace) -> Path:
    """Return the Python that has what *script* needs, as an experiment file names it.

    Raises:
        NotSetUp: It is an original script, and its environment is not there.
    """
    if is_upstream(script):
        return Path(require_installation(workspace, runner.name).interpreter)
    return runner.interpreter()
