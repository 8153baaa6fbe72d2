"""The door to the registry."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from arena_ray.model.records import Attempt, Experiment, Revision, Run
from arena_ray.model.spec import ExperimentSpec, FlagValue
from arena_ray.model.states import AttemptOutcome, Intent, Resume, RunState
from arena_ray.registry import exploits, moves, queries
from arena_ray.registry.checkpoint_store import CheckpointStore
from arena_ray.registry.execution_store import ExecutionStore
from arena_ray.registry.plugin_store import PluginStore
from arena_ray.registry.policy_store import PolicyStore
from arena_ray.registry.submission import Seat, Submission, add_submission


class Store(ExecutionStore, PluginStore, CheckpointStore, PolicyStore):
    """Experiments, revisions, runs, attempts, checkpoints, plugin executions, notes and policies in one database.

    Any number of threads and processes may use the same database; what a method changes it changes in one
    transaction, kept on disk when the method returns. Every method raises :class:`RegistryError` where the
    database cannot be read or written.
    """

    def submit(
        self,
        spec: ExperimentSpec,
        *,
        flags: Mapping[str, FlagValue],
        script: str,
        bundle: str,
        force_new: bool = False,
        execution_id: str | None = None,
        member: int | None = None,
        revision_id: str | None = None,
        description: str | None = None,
        key: str | None = None,
    ) -> tuple[Run, bool]:
        """Return the run of *spec*, and whether it was made now: with its experiment and revision, or not at all.

        Args:
            spec: The checked experiment file. Its project counts when its experiment is made.
            flags: All that the script is given, hyperparameters included.
            script: The script's name or path, as the runner resolved it.
            bundle: Digest of the script's files; another one makes another revision.
            force_new: Whether to make another run where an unfinished one of this revision and seed exists.
            execution_id: The plugin execution that the run is of; None for one of its own.
            member: The run's number in the execution, given with it. Who has it already is returned, ended or not.
            revision_id: The revision that the run is of, where a plugin has made one.
            description: What the plugin says of the run.
            key: Name of the request. One of the same name, repeated because its answer was lost, makes no other run.

        Raises:
            SpecError: The seed is too large to be kept.
            NotFound: There is no such execution.
            IllegalTransition: The execution has ended, and has no run of this number.
        """
        submission = Submission(spec, flags=flags, script=script, bundle=bundle)
        if (execution_id is None) != (member is None):
            raise ValueError("execution_id and member are given together, or neither is")
        seat = None if execution_id is None or member is None else Seat(execution_id, member)
        with self._database.write() as connection:
            run_id, is_new = add_submission(
                connection,
                submission,
                seat=seat,
                force_new=force_new,
                now=self._clock(),
                new_id=self._new_id,
                revision_id=revision_id,
                description=description,
                key=key,
            )
            return queries.load_run(connection, run_id), is_new

    def get_experiment(self, name_or_id: str) -> Experiment | None:
        """Return the experiment of this name, or else of this id."""
        with self._database.read() as connection:
            return queries.find_experiment(connection, name_or_id)

    def list_experiments(self) -> list[Experiment]:
        """Return all experiments, newest first."""
        with self._database.read() as connection:
            return queries.list_experiments(connection)

    def get_revision(self, revision_id: str) -> Revision | None:
        """Return the revision of this id."""
        with self._database.read() as connection:
            return queries.find_revision(connection, revision_id)

    def list_revisions(self, experiment_id: str) -> list[Revision]:
        """Return an experiment's revisions, by number."""
        with self._database.read() as connection:
            return queries.list_revisions(connection, experiment_id)

    def get_run(self, key: str) -> Run | None:
        """Return the one run of this id or name, or whose id or name alone begins so."""
        with self._database.read() as connection:
            found = queries.find_runs(connection, key)
            return found[0] if len(found) == 1 else None

    def require_run(self, key: str) -> Run:
        """Return what :meth:`get_run` returns.

        Raises:
            NotFound: No run is meant, or more than one.
        """
        with self._database.read() as connection:
            return queries.require_run(connection, key)

    def list_runs(
        self,
        *,
        experiment: str | None = None,
        states: Collection[RunState] | None = None,
        execution_id: str | None = None,
    ) -> list[Run]:
        """Return runs, oldest first: of one experiment (name or id) or execution, or all; in one of *states* or any."""
        with self._database.read() as connection:
            return queries.list_runs(connection, experiment=experiment, states=states, execution_id=execution_id)

    def list_attempts(self, run_id: str) -> list[Attempt]:
        """Return a run's attempts, by number."""
        with self._database.read() as connection:
            return queries.list_attempts(connection, run_id)

    def begin_attempt(self, run_id: str, *, node: str, resumed_from: str | None) -> Attempt:
        """Start the run once more, on *node*. Its last attempt has ended.

        Raises:
            NotFound: There is no such run.
            IllegalTransition: The run is not queued.
        """
        with self._database.write() as connection:
            moves.begin_attempt(connection, run_id, node=node, resumed_from=resumed_from, now=self._clock())
            return queries.list_attempts(connection, run_id)[-1]

    def move_run(self, run_id: str, target: RunState, *, attempt: int | None = None, reason: str | None = None) -> Run:
        """Move the run to *target*, with the reason for it; None clears the former one.

        With its end the exploits are abandoned that it has not carried out.

        Raises:
            NotFound: There is no such run.
            StaleAttempt: The run is at another attempt than *attempt*.
            IllegalTransition: The table of moves does not have this one.
        """
        with self._database.write() as connection:
            moves.move_run(connection, run_id, target=target, attempt=attempt, reason=reason, now=self._clock())
            if target.is_final:
                exploits.abandon_committed(connection, run_id, reason="the run has ended before", now=self._clock())
            return queries.load_run(connection, run_id)

    def end_attempt(self, run_id: str, *, attempt: int, outcome: AttemptOutcome, reason: str | None = None) -> None:
        """Write down how the run's newest attempt ended. The run itself stays in its state.

        Raises:
            NotFound: There is no such run.
            StaleAttempt: The run is at another attempt.
            IllegalTransition: The attempt ended before, and otherwise.
        """
        with self._database.write() as connection:
            moves.end_attempt(connection, run_id, attempt=attempt, outcome=outcome, reason=reason, now=self._clock())

    def request(self, run_id: str, intent: Intent, *, reason: str | None = None) -> Run:
        """Record what the user, or a scheduler, wants of the run, and return it with the intent that is in force.

        ``stop_now`` outdoes ``stop``, and that ``pause``: the weaker one changes nothing then. ``none`` withdraws.
        The *reason* is kept as the run's, unless the same was wanted before.

        Raises:
            NotFound: There is no such run.
            IllegalTransition: The run has ended, or is paused already.
        """
        with self._database.write() as connection:
            moves.request(connection, run_id, intent=intent, reason=reason)
            return queries.load_run(connection, run_id)

    def record_progress(
        self,
        run_id: str,
        *,
        attempt: int,
        boundary: int,
        global_step: int,
        episodic_return: float,
        steps_per_second: float,
    ) -> Intent:
        """Write down how far the run is and return what the user wants of it. A starting run is running now.

        Raises:
            NotFound: There is no such run.
            StaleAttempt: The run is at another attempt.
            IllegalTransition: The run is neither starting nor running.
        """
        with self._database.write() as connection:
            return moves.record_progress(
                connection,
                run_id,
                attempt=attempt,
                boundary=boundary,
                global_step=global_step,
                episodic_return=episodic_return,
                steps_per_second=steps_per_second,
            )

    def record_resume(self, run_id: str, *, attempt: int, resume: Resume, reason: str | None) -> None:
        """Write down how the run goes on from its checkpoints, and why it is not ``exact``.

        Raises:
            NotFound: There is no such run.
            StaleAttempt: The run is at another attempt.
        """
        with self._database.write() as connection:
            moves.record_resume(connection, run_id, attempt=attempt, resume=resume, reason=reason)

    def lost_streak(self, run_id: str) -> int:
        """Return how many of the newest ended attempts were lost in a row without getting any further."""
        with self._database.read() as connection:
            return moves.lost_streak(connection, run_id)
