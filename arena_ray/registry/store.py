"""The door to the registry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from arena_ray.model.errors import RegistryError
from arena_ray.model.naming import new_id as fresh_id
from arena_ray.model.records import Attempt, Checkpoint, Experiment, Revision, Run
from arena_ray.model.spec import ExperimentSpec, FlagValue
from arena_ray.model.states import AttemptOutcome, Intent, RunState
from arena_ray.registry import checkpoints, moves, queries
from arena_ray.registry.database import Database
from arena_ray.registry.schema import ensure_schema
from arena_ray.registry.submission import Submission, add_submission


def utc_now() -> datetime:
    """Return this moment, in UTC."""
    return datetime.now(UTC)


class Store:
    """Experiments, revisions, runs, attempts and checkpoints in one database.

    Any number of threads and processes may use the same database; what a method changes it changes in one
    transaction, kept on disk when the method returns. Every method raises :class:`RegistryError` where the
    database cannot be read or written.
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Callable[[], datetime] = utc_now,
        new_id: Callable[[], str] = fresh_id,
        read_only: bool = False,
    ) -> Self:
        """Return the store at *url*, made or upgraded where it has to be, unless *read_only*.

        Args:
            url: As SQLAlchemy writes it: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.
            clock: Gives the time, aware.
            new_id: Gives ids that were never given before.
            read_only: Whether to leave the database as it is, whatever is asked of the store.

        Raises:
            RegistryError: It is missing and only to be read, damaged, of a newer schema, or something else's.
        """
        database = Database(url, read_only=read_only)
        try:
            database.ensure_place()
            ensure_schema(database)
        except RegistryError:
            database.close()
            raise
        return cls(database, clock=clock, new_id=new_id)

    def close(self) -> None:
        """Give up all connections. The store cannot be used any more."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(
        self,
        spec: ExperimentSpec,
        *,
        flags: Mapping[str, FlagValue],
        script: str,
        bundle: str,
        force_new: bool = False,
    ) -> tuple[Run, bool]:
        """Return the run of *spec*, and whether it was made now: with its experiment and revision, or not at all.

        Args:
            spec: The checked experiment file. Its project counts when its experiment is made.
            flags: All that the script is given, hyperparameters included.
            script: The script's name or path, as the runner resolved it.
            bundle: Digest of the script's files; another one makes another revision.
            force_new: Whether to make another run where an unfinished one of this revision and seed exists.

        Raises:
            SpecError: The seed is too large to be kept.
        """
        submission = Submission(spec, flags=flags, script=script, bundle=bundle)
        with self._database.write() as connection:
            run_id, is_new = add_submission(
                connection, submission, force_new=force_new, now=self._clock(), new_id=self._new_id
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

    def list_runs(self, *, experiment: str | None = None, states: Collection[RunState] | None = None) -> list[Run]:
        """Return runs, oldest first: of one experiment (name or id) or all; in one of *states* or any."""
        with self._database.read() as connection:
            return queries.list_runs(connection, experiment=experiment, states=states)

    def list_attempts(self, run_id: str) -> list[Attempt]:
        """Return a run's attempts, by number."""
        with self._database.read() as connection:
            return queries.list_attempts(connection, run_id)

    def begin_attempt(self, run_id: str, *, node: str, resumed_from: str | None) -> Attempt:
        """Start the run once more, on *node*. An attempt that is open still is lost from now on.

        Raises:
            NotFound: There is no such run.
            IllegalTransition: The run is paused, or has ended.
        """
        with self._database.write() as connection:
            moves.begin_attempt(connection, run_id, node=node, resumed_from=resumed_from, now=self._clock())
            return queries.list_attempts(connection, run_id)[-1]

    def move_run(self, run_id: str, target: RunState, *, attempt: int | None = None, reason: str | None = None) -> Run:
        """Move the run to *target*, with the reason for it; None clears the former one.

        Raises:
            NotFound: There is no such run.
            StaleAttempt: The run is at another attempt than *attempt*.
            IllegalTransition: The table of moves does not have this one.
        """
        with self._database.write() as connection:
            moves.move_run(connection, run_id, target=target, attempt=attempt, reason=reason, now=self._clock())
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

    def request(self, run_id: str, intent: Intent) -> Run:
        """Record what the user wants of the run, and return the run with the intent that is in force.

        ``stop_now`` outdoes ``stop``, and that ``pause``: the weaker one changes nothing then. ``none`` withdraws.

        Raises:
            NotFound: There is no such run.
            IllegalTransition: The run has ended, or is paused already.
        """
        with self._database.write() as connection:
            moves.request(connection, run_id, intent=intent)
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

    def lost_streak(self, run_id: str) -> int:
        """Return how many of the newest ended attempts were lost in a row without getting any further."""
        with self._database.read() as connection:
            return moves.lost_streak(connection, run_id)

    def add_checkpoint(
        self,
        run_id: str,
        *,
        attempt: int,
        boundary: int,
        global_step: int,
        uri: str,
        digest: str,
        policy_digest: str,
        metrics_digest: str,
        size_bytes: int,
        episodic_return: float,
        is_final: bool,
    ) -> Checkpoint:
        """Count the checkpoint in, whose files are complete. Told twice of the same one, return the first.

        Raises:
            NotFound: There is no such run.
            StaleAttempt: The run is at another attempt.
        """
        checkpoint = checkpoints.NewCheckpoint(
            attempt=attempt,
            boundary=boundary,
            global_step=global_step,
            uri=uri,
            digest=digest,
            policy_digest=policy_digest,
            metrics_digest=metrics_digest,
            size_bytes=size_bytes,
            episodic_return=episodic_return,
            is_final=is_final,
        )
        with self._database.write() as connection:
            checkpoint_id = checkpoints.add_checkpoint(
                connection, run_id, checkpoint, checkpoint_id=self._new_id(), now=self._clock()
            )
            return queries.load_checkpoint(connection, checkpoint_id)

    def list_checkpoints(self, run_id: str) -> list[Checkpoint]:
        """Return a run's checkpoints that have not been removed, the one furthest in training first."""
        with self._database.read() as connection:
            return queries.list_checkpoints(connection, run_id)

    def list_latest_checkpoints(self) -> dict[str, Checkpoint]:
        """Return the furthest checkpoint of each run that has one, by run id."""
        with self._database.read() as connection:
            return queries.list_latest_checkpoints(connection)

    def get_checkpoint(self, checkpoint_id: str) -> Checkpoint | None:
        """Return the checkpoint of this id, unless it has been removed."""
        with self._database.read() as connection:
            return queries.find_checkpoint(connection, checkpoint_id)

    def remove_checkpoint(self, checkpoint_id: str, *, reason: str) -> None:
        """Take the checkpoint out of all lists. Its row stays, with the reason; its files are the caller's.

        Raises:
            NotFound: There never was such a checkpoint.
        """
        with self._database.write() as connection:
            checkpoints.remove_checkpoint(connection, checkpoint_id, reason=reason, now=self._clock())
