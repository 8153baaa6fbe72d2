"""A runner's original scripts, in the environment of their own: found, checked, and trained with what they import."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from core_kit import RUNNERS
from setup_kit import make_repository

from arena_ray.model.errors import NotSetUp, ScriptNotFound, UnknownEnvironment
from arena_ray.model.paths import Workspace
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import RunState
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.runner.installation import Installation
from arena_ray.runner.preflight import Submission, prepare
from arena_ray.scheduling.supervision import Supervision
from arena_ray.telemetry.archive import read_log


@pytest.fixture
def installation(tmp_path: Path, workspace: Workspace) -> Installation:
    """What ``arena runners setup cleanrl`` would leave behind, with an interpreter that notes who called it."""
    repository = make_repository(tmp_path / "clone")
    python = tmp_path / "own-python"
    python.write_text(f'#!/bin/sh\necho called >> "{tmp_path}/called"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    made = Installation(
        runner="cleanrl",
        source=str(repository),
        python=sys.executable,
        repository=str(repository),
        scripts=str(repository / "originals"),
        interpreter=str(python),
        is_complete=True,
    )
    made.write(workspace.runner("cleanrl"))
    return made


def submission_of(workspace: Workspace, **changes: object) -> Submission:
    keys = {"experiment": "x", "runner": "cleanrl", "script": "upstream/learn", "env_id": "CartPole-v1", **changes}
    return prepare(ExperimentSpec.model_validate(keys), base=workspace.home, runners=RUNNERS, workspace=workspace)


def test_an_original_script_trains_in_its_own_interpreter(
    core: Orchestrator, workspace: Workspace, installation: Installation, tmp_path: Path
) -> None:
    submission = submission_of(workspace)
    assert sorted(submission.bundle.files) == [
        "original_tools/__init__.py",
        "original_tools/learner.py",
        "originals/learn.py",
    ]
    run = core.start(submission, force_new=True).run
    assert run is not None
    # what is in the repository now is not what the run was made of
    (Path(installation.repository) / "original_tools/learner.py").write_text("raise RuntimeError('changed since')")
    (tmp_path / "called").unlink(missing_ok=True)
    supervision = Supervision(core, runners=RUNNERS, node="here")
    try:
        supervision.start(run.run_id)
        while (progress := supervision.advance(0.1)).outcome is None:
            pass
    finally:
        supervision.close()
    assert progress.outcome is RunState.COMPLETED
    assert (tmp_path / "called").exists()
    assert "all is well" in [line["text"] for line in read_log(workspace.run(run.name).log).lines]


def test_its_interpreter_is_asked_for_the_environment(
    core: Orchestrator, workspace: Workspace, installation: Installation
) -> None:
    source = Path(installation.scripts) / "learn.py"
    source.write_text("import gymnasium\n" + source.read_text())
    Path(installation.interpreter).write_text("#!/bin/sh\necho nothing of that kind >&2; exit 1\n")
    with pytest.raises(UnknownEnvironment, match="own-python ended with exit code 1: nothing of that kind"):
        core.start(submission_of(workspace), force_new=True)


def test_an_unknown_original_script_is_refused_with_the_nearest(workspace: Workspace, installation: object) -> None:
    with pytest.raises(ScriptNotFound, match="did you mean 'upstream/learn'"):
        submission_of(workspace, script="upstream/lern")


def test_shipped_scripts_need_no_environment_of_their_own(workspace: Workspace) -> None:
    assert submission_of(workspace, script="ppo").bundle.entry == "ppo.py"


def test_without_a_complete_environment_the_command_that_makes_it_is_named(
    workspace: Workspace, installation: Installation
) -> None:
    files = workspace.runner("cleanrl")
    installation.model_copy(update={"is_complete": False}).write(files)
    with pytest.raises(NotSetUp, match="was interrupted; arena runners setup cleanrl"):
        submission_of(workspace)
    files.installation.unlink()
    with pytest.raises(NotSetUp, match="not made yet; arena runners setup cleanrl"):
        submission_of(workspace)
