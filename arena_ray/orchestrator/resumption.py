"""What a run says of its resume: what a probe has proved, or what its runner leads one to expect."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from arena_ray.model.errors import ArenaError
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Attempt, Revision, Run
from arena_ray.model.settings import Settings
from arena_ray.model.states import Resume
from arena_ray.registry.store import Store
from arena_ray.runner.capability import expected, subject_of
from arena_ray.runner.installation import interpreter_for
from arena_ray.runner.protocol import Runner
from arena_ray.runner.verdict import Subject, VerdictFiles, listed


class Resumption:
    """Says of each run what is known when an attempt at it begins."""

    def __init__(
        self, store: Store, *, workspace: Workspace, runners: Mapping[str, Runner], settings: Settings
    ) -> None:
        self._store = store
        self._workspace = workspace
        self._verdicts = VerdictFiles(workspace.probes)
        self._runners = runners
        self._settings = settings

    def record(self, attempt: Attempt) -> None:
        """Write down how the run of a new *attempt* resumes: a probe may have run since the last one.

        Raises:
            StaleAttempt: A newer attempt has taken over.
        """
        run = self._store.require_run(attempt.run_id)
        revision, runner = self._store.get_revision(run.revision_id), self._runners.get(run.runner)
        if revision is not None and runner is not None:
            resume, reason = self._find(revision, runner)
            self._store.record_resume(run.run_id, attempt=attempt.number, resume=resume, reason=reason)

    def _find(self, revision: Revision, runner: Runner) -> tuple[Resume, str | None]:
        """Return how runs of *revision* go on from a checkpoint, and why it is not ``exact``."""
        try:
            interpreter = str(interpreter_for(runner, revision.script, workspace=self._workspace))
        except ArenaError as exc:
            return expected(runner), str(exc)
        about = {"env_id": revision.env_id, "interpreter": interpreter}
        if not self._verdicts.has(Subject(bundle=revision.bundle, versions={}, **about)):
            command = shlex.join(["arena", "runners", "inspect", revision.script, "--env-id", revision.env_id])
            return expected(runner), f"nobody has looked: `{command}` probes it"
        try:
            verdict = self._verdicts.get(subject_of(revision.bundle, **about))
        except ArenaError as exc:
            return expected(runner), str(exc)
        if verdict is None:
            return expected(runner), "it was probed with other versions of Python or its packages; probe it again"
        if verdict.resume is Resume.EXACT and revision.resources.gpu > 0:
            return Resume.WARM, "it was proved without a GPU only"
        if verdict.resume is Resume.EXACT and self._settings.threads(revision.resources.cpu) > 1:
            return Resume.WARM, "it was proved with one thread only"
        return verdict.resume, verdict.reason


def record_left_out(store: Store, run: Run, *, attempt: int, left_out: tuple[str, ...]) -> None:
    """Take back that *run* resumes exactly: a checkpoint of it lacks what is *left_out*.

    Raises:
        StaleAttempt: A newer attempt has taken over.
    """
    reason = f"not captured: {listed(left_out, by='; ')}"
    if left_out and run.resume is not Resume.NONE and run.resume_reason != reason:
        store.record_resume(run.run_id, attempt=attempt, resume=Resume.WARM, reason=reason)
