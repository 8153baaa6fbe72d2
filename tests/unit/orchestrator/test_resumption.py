"""A run says of its resume what was proved, and nothing more."""

from __future__ import annotations

import dataclasses
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from unit.orchestrator.test_core import begin, report, saved

from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.model.states import Resume
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.runner.verdict import Subject, Verdict, VerdictFiles
from arena_ray.runner.versions import versions_in


def prove(workspace: Workspace, submission: Any, resume: Resume = Resume.EXACT, **changes: Any) -> None:
    """Keep a verdict on the submission's script, of *changes* in what it is about."""
    keys = {
        "bundle": submission.bundle.digest(),
        "env_id": submission.spec.env_id,
        "interpreter": sys.executable,
        "versions": versions_in(sys.executable),
    }
    reason = None if resume is Resume.EXACT else "differs after a resume: x"
    verdict = Verdict(
        subject=Subject(**(keys | changes)), resume=resume, reason=reason, probed_at=datetime(2026, 1, 2, tzinfo=UTC)
    )
    VerdictFiles(workspace.probes).keep(verdict)


def begun(core: Orchestrator, submission: Any, token: str = "t") -> Run:
    run = core.start(submission).run
    begin(core, run, token)
    return core.assignment(run.run_id).run


def said(run: Run) -> tuple[Resume, str | None]:
    return run.resume, run.resume_reason


def test_a_run_of_a_script_that_nobody_has_probed_is_warm_and_says_so(core, submission_of) -> None:
    resume, reason = said(begun(core, submission_of()))
    assert resume is Resume.WARM
    assert "`arena runners inspect ppo --env-id CartPole-v1` probes it" in reason


@pytest.mark.parametrize("resume", list(Resume))
def test_a_run_says_what_the_probe_of_its_script_has_found(core, workspace, submission_of, resume: Resume) -> None:
    prove(workspace, submission_of(), resume)
    reason = None if resume is Resume.EXACT else "differs after a resume: x"
    assert said(begun(core, submission_of())) == (resume, reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bundle": "c" * 64}, "nobody has looked"),
        ({"env_id": "Acrobot-v1"}, "nobody has looked"),
        ({"interpreter": "/bin/other"}, "nobody has looked"),
        ({"versions": {"python": "3.8.0"}}, "other versions"),
    ],
    ids=str,
)
def test_a_proof_of_something_else_does_not_count(core, workspace, submission_of, change: dict, reason: str) -> None:
    prove(workspace, submission_of(), **change)
    resume, why = said(begun(core, submission_of()))
    assert resume is Resume.WARM
    assert reason in why


@pytest.mark.parametrize(
    ("resources", "reason"),
    [({"gpu": 1}, "it was proved without a GPU only"), ({"cpu": 2}, "it was proved with one thread only")],
    ids=str,
)
def test_a_proof_does_not_hold_for_what_the_probe_did_not_have(
    core, workspace, submission_of, resources: dict, reason: str
) -> None:
    prove(workspace, submission_of())
    assert said(begun(core, submission_of(resources=resources))) == (Resume.WARM, reason)


def test_a_probe_counts_from_the_next_attempt_on(core, workspace, submission_of) -> None:
    run = begun(core, submission_of())
    prove(workspace, submission_of())
    assert core.assignment(run.run_id).run.resume is Resume.WARM
    begin(core, run, "again")
    assert core.assignment(run.run_id).run.resume is Resume.EXACT


def test_a_checkpoint_that_lacks_something_takes_the_proof_back(core, workspace, submission_of) -> None:
    prove(workspace, submission_of())
    run = begun(core, submission_of())
    report(core, run, saved(workspace, 1))
    assert core.assignment(run.run_id).run.resume is Resume.EXACT
    lacking = dataclasses.replace(saved(workspace, 2), left_out=("envs (TypeError: no)",))
    report(core, run, lacking, first_seq=1, boundary=2)
    assert said(core.assignment(run.run_id).run) == (Resume.WARM, "not captured: envs (TypeError: no)")


def test_a_checkpoint_that_lacks_something_makes_no_better_promise(core, workspace, submission_of) -> None:
    prove(workspace, submission_of(), Resume.NONE)
    run = begun(core, submission_of())
    report(core, run, dataclasses.replace(saved(workspace, 1), left_out=("envs (TypeError: no)",)))
    assert core.assignment(run.run_id).run.resume is Resume.NONE
