"""What a stage keeps instead of a registry: one experiment with its revisions, runs and notes, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arena_ray.model.errors import NotFound, PluginMistake
from arena_ray.model.naming import run_name
from arena_ray.model.records import Execution, Experiment, JournalEntry, Note, Revision, Run
from arena_ray.model.spec import ExperimentSpec, FlagValue
from arena_ray.model.states import ExecutionState, RunState, Scope
from arena_ray.plugin.registration import Plugin
from arena_ray.plugin.schema import plain_settings
from arena_ray.registry.columns import storable
from arena_ray.registry.submission import Authorship, Submission
from arena_ray.telemetry.history import Point, plain
from arena_ray.testing.staged_script import StagedScript
from arena_ray.testing.training import Pace, StageClock, StagedRun, Train, Training

EXPERIMENT_ID = "experiment-1"


class StageRecords:
    """See :class:`arena_ray.orchestrator.plugin_records.PluginRecords`.

    Args:
        spec: What is trained.
        plugin: Whose execution is kept.
        settings: Those of the execution.
        script: The one of *spec*.
        train: Stands for it.
        clock: The stage's.
        pace: How runs train.
    """

    def __init__(
        self,
        spec: ExperimentSpec,
        plugin: Plugin,
        settings: Mapping[str, Any],
        *,
        script: StagedScript,
        train: Train,
        clock: StageClock,
        pace: Pace,
    ) -> None:
        self.clock = clock
        self.script = script
        self.staged: list[StagedRun] = []
        self.deployed: list[tuple[str, str]] = []
        self._train = train
        self._pace = pace
        self._notes: dict[Any, Note] = {}
        self._revisions: dict[str, Revision] = {}
        self._calls: dict[int, JournalEntry] = {}
        now = clock.utc()
        self.experiment = Experiment(experiment_id=EXPERIMENT_ID, name=spec.experiment, created_at=now)
        base = self._ensure_revision(Submission(spec, flags=script.check(spec), script=spec.script, bundle="staged"))
        self.execution = Execution(
            execution_id="execution-1",
            experiment_id=EXPERIMENT_ID,
            experiment=spec.experiment,
            plugin=plugin.name,
            settings=plain_settings(settings),
            spec=spec,
            state=ExecutionState.RUNNING,
            created_at=now,
            revision_id=base.revision_id if plugin.scope is Scope.EXPERIMENT else None,
            scope=plugin.scope,
        )

    def pass_to(self, seconds: float) -> None:
        """Let the time pass up to a moment, and the runs train."""
        while (event := self.next_event_s) is not None and event <= seconds:
            self.clock.pass_to(event)
            for run in self.staged:
                run.go_on()
        self.clock.pass_to(seconds)

    def train_to(self, step: int, run: StagedRun) -> Run:
        """Let a run train up to a step, and return its record.

        Raises:
            PluginMistake: It does not come so far, or is further.
        """
        if not run.record.state.is_final and step >= run.record.global_step:
            self.pass_to(run.moment_of(step))
            run.report(step)
            if run.is_trained_to(step):
                return run.record
        state, reached = run.record.state, run.record.global_step
        raise PluginMistake(f"run {run.record.name} is {state} at step {reached}: it does not come to {step}")

    @property
    def next_event_s(self) -> float | None:
        """When something about a run changes next; None where nothing does."""
        events = [run.next_event_s for run in self.staged]
        return min((event for event in events if event is not None), default=None)

    def staged_run(self, run_id: str) -> StagedRun:
        """Return a run by its id or name.

        Raises:
            NotFound: There is none.
        """
        for run in self.staged:
            if run_id in (run.record.run_id, run.record.name):
                return run
        raise NotFound("run", run_id, known=[run.record.name for run in self.staged])

    def stop_run(self, run_id: str, reason: str) -> None:
        """Let a run come to its end."""
        self.staged_run(run_id).end(RunState.STOPPED, reason=reason)

    def deploy(self, run_id: str, name: str, select: str) -> int:
        """Take down that a run is deployed, and return the number of the version.

        Raises:
            NotFound: It has trained nothing yet.
        """
        run = self.require_run(run_id)
        if not run.global_step:
            raise NotFound("checkpoint", f"of run {run.name}")
        self.deployed.append((name, run_id))
        return sum(each == name for each, _ in self.deployed)

    # what PluginLooks hears of runs

    def points(self, run: Run) -> Mapping[str, Sequence[Point]]:
        """Return what a run has logged, by tag."""
        return {tag: list(map(plain, points)) for tag, points in self.staged_run(run.run_id).points.items()}

    def log_tail(self, run: Run, lines: int) -> list[str]:
        """Return the newest lines that it has printed."""
        printed = self.staged_run(run.run_id).training.printed
        return printed[max(0, len(printed) - lines) :]

    # what the store has

    def get_experiment(self, name_or_id: str) -> Experiment | None:
        """Return the experiment."""
        return self.experiment if name_or_id in (self.experiment.name, EXPERIMENT_ID) else None

    def list_experiments(self) -> list[Experiment]:
        """Return the one that there is."""
        return [self.experiment]

    def get_execution(self, execution_id: str) -> Execution | None:
        """Return the one that there is."""
        return self.execution if execution_id == self.execution.execution_id else None

    def base_revision(self, execution_id: str) -> Revision:
        """Return the revision that the stage began with."""
        return next(iter(self._revisions.values()))

    def get_revision(self, revision_id: str) -> Revision | None:
        """Return the revision of this id."""
        return next((each for each in self._revisions.values() if each.revision_id == revision_id), None)

    def list_revisions(self, experiment_id: str) -> list[Revision]:
        """Return all revisions."""
        return list(self._revisions.values())

    def add_revision(
        self, spec: ExperimentSpec, *, flags: Mapping[str, FlagValue], script: str, bundle: str, author: Authorship
    ) -> Revision:
        """Return the revision that a call makes."""
        return self._ensure_revision(Submission(spec, flags=flags, script=script, bundle=bundle), author)

    def _ensure_revision(self, submission: Submission, author: Authorship | None = None) -> Revision:
        digest = author.digest() if author else submission.digest()
        if digest not in self._revisions:
            latest = next(reversed(self._revisions.values()), None)
            number, spec = len(self._revisions) + 1, submission.spec
            self._revisions[digest] = Revision(
                revision_id=f"revision-{number}",
                experiment_id=EXPERIMENT_ID,
                number=number,
                parent_id=author.parent_id if author else latest.revision_id if latest else None,
                digest=digest,
                runner=spec.runner,
                script=submission.script,
                bundle=submission.bundle,
                env_id=spec.env_id,
                hyperparameters=spec.hyperparameters,
                flags=dict(submission.flags),
                config=spec.config,
                resources=spec.resources,
                checkpoint=spec.checkpoint,
                created_at=self.clock.utc(),
                name=author.name if author else None,
                notes=author.notes if author else None,
                execution_id=author.execution_id if author else None,
            )
        return self._revisions[digest]

    def require_run(self, key: str) -> Run:
        """Return a run by its id or name."""
        return self.staged_run(key).record

    def list_runs(self, *, experiment: str | None = None, execution_id: str | None = None) -> list[Run]:
        """Return all runs, or those of the execution, oldest first."""
        runs = [run.record for run in self.staged]
        return runs if execution_id is None else [run for run in runs if run.execution_id == execution_id]

    def submit(
        self,
        spec: ExperimentSpec,
        *,
        flags: Mapping[str, FlagValue],
        script: str,
        bundle: str,
        execution_id: str | None = None,
        member: int | None = None,
        revision_id: str | None = None,
        description: str | None = None,
    ) -> tuple[Run, bool]:
        """Return the run of *spec*, queued now."""
        submission = Submission(spec, flags=flags, script=script, bundle=bundle)
        made = self.get_revision(revision_id) if revision_id else None
        revision = made or self._ensure_revision(submission)
        number, now = len(self.staged), self.clock.utc()
        run_id, name = f"run-{number + 1}", run_name(spec.env_id, script, spec.seed, at=now)
        if any(run.record.name == name for run in self.staged):
            name = run_name(spec.env_id, script, spec.seed, at=now, suffix=run_id)
        record = Run(
            run_id=run_id,
            name=name,
            experiment_id=EXPERIMENT_ID,
            experiment=spec.experiment,
            revision_id=revision.revision_id,
            revision=revision.number,
            runner=spec.runner,
            script=script,
            env_id=spec.env_id,
            seed=spec.seed,
            state=RunState.QUEUED,
            resources=spec.resources,
            created_at=now,
            execution_id=execution_id,
            member=member,
            hyperparameters=dict(spec.hyperparameters),
            description=description,
        )
        training = Training(number, spec.seed, spec.env_id, self.script.values(flags), spec.config)
        self.staged.append(StagedRun(record, training, train=self._train, clock=self.clock, pace=self._pace))
        return record, True

    def move_run(self, run_id: str, target: RunState, *, reason: str | None = None) -> Run:
        """Let a run come to its end."""
        self.staged_run(run_id).end(target, reason=reason)
        return self.require_run(run_id)

    def add_note(
        self,
        experiment_id: str,
        text: str,
        *,
        run_id: str | None = None,
        revision_id: str | None = None,
        execution_id: str | None = None,
        call: str | None = None,
    ) -> tuple[Note, bool]:
        """Write a note down; each call of the execution writes one."""
        number = len(self._notes) + 1
        place = number if execution_id is None else call
        if place in self._notes:
            return self._notes[place], False
        self._notes[place] = Note(
            note_id=f"note-{number}",
            experiment_id=experiment_id,
            execution_id=execution_id,
            run_id=run_id,
            revision_id=revision_id,
            text=storable(text),
            created_at=self.clock.utc(),
        )
        return self._notes[place], True

    def list_notes(self, experiment_id: str) -> list[Note]:
        """Return all notes, oldest first."""
        return list(self._notes.values())

    def add_plugin_call(self, execution_id: str, entry: JournalEntry) -> JournalEntry:
        """Write a call down, and return what is kept."""
        return self._calls.setdefault(entry.number, entry)

    def end_plugin_call(self, execution_id: str, number: int, *, answer: Any, error: dict[str, str] | None) -> None:
        """Write down what it was answered."""
        ended = {"answer": answer, "error": error, "ended_at": self.clock.utc()}
        self._calls[number] = self._calls[number].model_copy(update=ended)

    def list_plugin_calls(self, execution_id: str) -> list[JournalEntry]:
        """Return all calls."""
        return list(self._calls.values())
