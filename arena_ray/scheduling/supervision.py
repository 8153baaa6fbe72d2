"""What a run actor does, without Ray: attempt after attempt until the run has ended, is paused, or was taken over."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import arena_ray.harness
from arena_ray.model.errors import ArenaError, RegistryError, StaleAttempt
from arena_ray.model.events import Batch
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Checkpoint, Milestone
from arena_ray.model.states import AttemptOutcome, Intent, RunState
from arena_ray.runner import preflight
from arena_ray.runner.attempt import End, Launch
from arena_ray.runner.checkpoint_files import choose_checkpoint
from arena_ray.runner.cores import Cores, offered_cores
from arena_ray.runner.environment import check_cuda
from arena_ray.runner.installation import interpreter_for
from arena_ray.runner.process import Starter, start_cold
from arena_ray.runner.protocol import Runner, ScriptReport
from arena_ray.runner.session import Session
from arena_ray.runner.user_folder import folder_of_this_user
from arena_ray.runner.warm_pool import WarmPool
from arena_ray.scheduling.execution_port import ExploitOrder
from arena_ray.scheduling.hold import Hold
from arena_ray.scheduling.milestones import Course
from arena_ray.scheduling.port import Acknowledgement, Assignment, Port
from arena_ray.scheduling.restart import Entry, History, find_entry
from arena_ray.scheduling.stats_terms import known_hyperparameters, options_for
from arena_ray.telemetry.stats_feed import StatsFeed
from arena_ray.telemetry.writers import WriterTerms

HARNESS = Path(arena_ray.harness.__file__).parent
HOLD_POLL_S = 0.1
"""While a run holds its actor looks up so often: a decision that comes meanwhile waits no longer than that."""


@dataclass(frozen=True)
class Progress:
    """What Tune sees of a run: decimated, one a report interval."""

    global_step: int
    episodic_return: float
    steps_per_second: float
    attempt: int
    generation: int = 0
    outcome: RunState | None = None
    """The state in which this actor leaves the run; None while it goes on."""
    milestone: Milestone | None = None
    """Where the run holds until somebody decides."""


def training_environment(assignment: Assignment, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the training process.

    Ray's own variables stay out of it. Without a GPU reserved it sees none, although Ray would show it all of them.
    """
    env = {key: value for key, value in environ.items() if not key.startswith("RAY_")}
    env.setdefault("PYTHONHASHSEED", "0")  # the order of sets of strings is part of an exact run
    env["OMP_NUM_THREADS"] = str(assignment.settings.threads(assignment.run.resources.cpu))
    if assignment.run.resources.gpu == 0:
        env["CUDA_VISIBLE_DEVICES"] = ""
    return env


class Supervision:
    """Keeps one run going. Call :meth:`advance` until its progress has an outcome."""

    def __init__(
        self,
        port: Port,
        *,
        runners: Mapping[str, Runner],
        node: str,
        environ: Mapping[str, str] = os.environ,
        pool: WarmPool | None = None,
        new_token: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._port = port
        self._runners = runners
        self._node = node
        self._environ = environ
        self._pool = pool
        self._new_token = new_token
        self._session: Session | None = None
        self._run_id = ""
        self._attempt = 0
        self._acknowledged = Acknowledgement()
        self._outcome: RunState | None = None
        self._course = Course()
        self._hold: Hold | None = None
        self._history = History()
        self._cores = Cores()

    def start(self, run_id: str, *, course: Course | None = None) -> None:
        """Begin an attempt at the run, from its newest sound checkpoint.

        What stands in the way ends the run, with its reason; it does not raise.
        """
        self._run_id = run_id
        self._course = course or self._course
        try:
            self._begin()
        except StaleAttempt:
            self._outcome = RunState.QUEUED
        except (ArenaError, OSError) as exc:
            self._end(End(AttemptOutcome.FAILED, str(exc)))

    def _begin(self) -> None:
        self._hold = None
        assignment = self._port.assignment(self._run_id)
        checkpoint, notes = choose_checkpoint(assignment.checkpoints)
        attempt = self._port.begin_attempt(
            self._run_id,
            node=self._node,
            resumed_from=checkpoint.checkpoint_id if checkpoint else None,
            token=self._new_token(),
        )
        self._attempt = attempt.number
        if assignment.settings.bind_cores:
            notes = [*notes, self._hold_cores(assignment.run.resources.cpu)]
        launch, runner, script, entry = self._prepare(assignment, checkpoint)
        self._session = session = Session(launch, runner=runner, report=self._report)
        session.start(
            checkpoint,
            notes=[*notes, *entry.notes],
            until_step=self._first_stop(assignment, checkpoint, entry),
            seek=entry.seek,
        )
        self._hold = Hold(
            self._port.executions,
            session,
            run_id=self._run_id,
            attempt=attempt.number,
            course=self._course,
            script=script,
            entry=entry,
            history=self._history,
            orders=assignment.exploits,
        )

    def _hold_cores(self, cpu: float) -> str:
        """Hold the cores of the next training, and return the note that says which."""
        self._cores.close()
        self._cores = Cores.hold(cpu, directory=folder_of_this_user("cores"), offered=offered_cores())
        if self._cores.numbers:
            return f"bound to core {', '.join(map(str, self._cores.numbers))}"
        return f"bound to no core: {cpu:g} CPUs are no whole number, or so many cores are not free"

    def _first_stop(self, assignment: Assignment, checkpoint: Checkpoint | None, entry: Entry) -> int | None:
        step, boundary, generation = (
            (checkpoint.global_step, checkpoint.boundary, checkpoint.generation) if checkpoint else (0, 0, 0)
        )
        if entry.restart is not None:
            return step
        if self._history.decided_at == (boundary, generation):
            return self._course.milestones.next_after(step)
        return self._course.first_stop(
            step=step, boundary=boundary, generation=generation, reached=assignment.milestones
        )

    def _prepare(
        self, assignment: Assignment, checkpoint: Checkpoint | None
    ) -> tuple[Launch, Runner, ScriptReport, Entry]:
        run, revision = assignment.run, assignment.revision
        runner = self._runners[run.runner]
        workspace = Workspace(Path(assignment.home))
        files = workspace.run(run.name)
        path = assignment.bundle.materialise(workspace.bundles)
        interpreter = str(interpreter_for(runner, run.script, workspace=workspace))
        report = runner.inspect(path.read_text(encoding="utf-8"), path=run.script)
        if report.requires_cuda:
            check_cuda(run.script, interpreter=interpreter)
        entry = find_entry(assignment, checkpoint, report)
        script = preflight.training_command(
            runner, interpreter=interpreter, script=path, flags=entry.flags, env_id=run.env_id, seed=run.seed
        )
        bound = ["--cores", *map(str, self._cores.numbers)] if self._cores.numbers else []
        harness = ["-u", str(HARNESS), "--fd", "{fd}", "--attempt", str(self._attempt)]
        command = [script[0], *harness, *bound, "--tensorboard", str(files.tensorboard), "--", *script[1:]]
        launch = Launch(
            run_id=run.run_id,
            attempt=self._attempt,
            command=command,
            env=assignment.bundle.add_modules(training_environment(assignment, self._environ), script=path),
            files=files,
            snapshot_every_s=revision.checkpoint.every_s,
            start_timeout_s=assignment.settings.start_timeout_s,
            end_timeout_s=assignment.settings.end_timeout_s,
            starter=self._starter(assignment, report),
            replay_buffer=revision.checkpoint.replay_buffer,
            listener=self._stats_feed(assignment, checkpoint, report, entry),
        )
        return launch, runner, report, entry

    def _stats_feed(
        self, assignment: Assignment, checkpoint: Checkpoint | None, script: ScriptReport, entry: Entry
    ) -> StatsFeed:
        run, files = assignment.run, Workspace(Path(assignment.home)).run(assignment.run.name)
        known = known_hyperparameters(run, script, flags=entry.flags)
        options = options_for(run, attempt=self._attempt, checkpoint=checkpoint, files=files, hyperparameters=known)
        return StatsFeed(WriterTerms(options, files, assignment.settings.summary_steps, self._environ))

    def _starter(self, assignment: Assignment, report: ScriptReport) -> Starter:
        if self._pool is None or not assignment.settings.warm_pool:
            return start_cold
        return partial(self._pool.start, modules=report.imports)

    def _report(self, batch: Batch) -> Intent:
        self._acknowledged = self._port.report(batch)
        return self._acknowledged.intent

    def advance(self, timeout_s: float) -> Progress:
        """Let the training go on for up to *timeout_s* and return where it stands."""
        if self._outcome is None and self._session is not None:
            try:
                end = self._advance(self._session, timeout_s)
            except StaleAttempt:
                self._outcome = RunState.QUEUED  # another actor has the run now: leave without a trace
            except (OSError, RegistryError) as exc:
                self._end(End(AttemptOutcome.FAILED, f"telemetry could not be kept: {exc}"))
            else:
                if end is not None:
                    self._end(end)
        return self.progress()

    def _advance(self, session: Session, timeout_s: float) -> End | None:
        end = session.advance(min(timeout_s, HOLD_POLL_S) if session.is_holding else timeout_s)
        if self._hold is None:
            return end
        if end is not None:
            return self._hold.judge(end)
        if session.is_holding:
            self._hold.arrive()
        return self._hold.departure

    def decide(self, order: ExploitOrder | None) -> None:
        """Let a run that holds at a milestone go on, with another run's weights where there is an *order*."""
        if self._outcome is None and self._hold is not None:
            with suppress(StaleAttempt):  # the next advance finds out
                self._hold.end(order)
            if self._hold.departure is not None:
                self._end(self._hold.departure)

    def leave(self) -> None:
        """Give way to another run: end the training where it holds, written down, to go on there later."""
        if self._outcome is not None or self._session is None or not self._session.has_checkpoint_here:
            return
        self._outcome = RunState.QUEUED
        self.close()
        with suppress(StaleAttempt):
            self._port.end_attempt(self._run_id, attempt=self._attempt, outcome=AttemptOutcome.PREEMPTED, reason=None)

    def _end(self, end: End) -> None:
        self.close()
        try:
            state = self._port.end_attempt(self._run_id, attempt=self._attempt, outcome=end.outcome, reason=end.reason)
        except StaleAttempt:
            state = RunState.QUEUED
        else:
            if state is RunState.QUEUED:  # the node is fine, only the process is gone: go on here
                self.start(self._run_id)
                return
        self._outcome = state

    def progress(self) -> Progress:
        """Return where the training stands."""
        standing = self._session.progress if self._session else None
        return Progress(
            global_step=standing.global_step if standing else 0,
            episodic_return=self._acknowledged.episodic_return,
            steps_per_second=standing.steps_per_second if standing else math.nan,
            attempt=self._attempt,
            generation=self._session.generation if self._session else 0,
            outcome=self._outcome,
            milestone=self._hold.milestone if self._hold else None,
        )

    @property
    def training_pid(self) -> int | None:
        """Pid of the training process, once its guard has told it."""
        return self._session.training_pid if self._session else None

    def close(self) -> None:
        """End the training process, if there is one."""
        if self._session is not None:
            self._session.close()
        self._cores.close()
