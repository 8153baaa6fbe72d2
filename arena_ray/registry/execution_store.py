"""The part of the store that knows plugin executions, and what happens between their runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from arena_ray.model.records import Execution, Exploit, Lineage, Milestone
from arena_ray.model.spec import ExperimentSpec, FlagValue
from arena_ray.model.states import ExecutionState, ExploitOutcome, Scope
from arena_ray.registry import executions, exploits, queries
from arena_ray.registry.door import Door
from arena_ray.registry.submission import Submission


class ExecutionStore(Door):
    """Executions, milestones and exploits, as one part of :class:`arena_ray.registry.store.Store`."""

    def begin_execution(
        self,
        spec: ExperimentSpec,
        *,
        plugin: str,
        settings: Mapping[str, Any],
        digest: str,
        flags: Mapping[str, FlagValue],
        script: str,
        bundle: str,
        force_new: bool = False,
        revision_id: str | None = None,
        scope: Scope = Scope.EXPERIMENT,
        key: str | None = None,
    ) -> tuple[Execution, bool]:
        """Return an execution of the plugin, and whether it was made now: with its experiment, or not at all.

        Args:
            spec: The checked experiment file. Its project counts when its experiment is made.
            plugin: The plugin's name.
            settings: The plugin's settings, checked, defaults filled in.
            digest: Equal for what is the same to the user; an unfinished execution of it in the experiment goes on.
            flags: All that the script is given but for what the plugin chooses.
            script: The script's name or path, as the runner resolved it.
            bundle: Digest of the script's files.
            force_new: Whether to make another execution where an unfinished one of this digest exists.
            revision_id: The revision that it begins with, where it is one that there is.
            scope: What it is at work on.
            key: Name of the request. One of the same name, repeated because its answer was lost, makes no other one.

        Raises:
            SpecError: The seed is too large to be kept.
        """
        submission = Submission(spec, flags=flags, script=script, bundle=bundle)
        execution = executions.NewExecution(
            submission, plugin=plugin, settings=settings, digest=digest, revision_id=revision_id, scope=scope, key=key
        )
        with self._database.write() as connection:
            execution_id, is_new = executions.begin_execution(
                connection, execution, force_new=force_new, now=self._clock(), new_id=self._new_id
            )
            return queries.load_execution(connection, execution_id), is_new

    def get_execution(self, execution_id: str) -> Execution | None:
        """Return the execution of this id."""
        with self._database.read() as connection:
            return queries.find_execution(connection, execution_id)

    def list_executions(
        self,
        *,
        experiment: str | None = None,
        states: Collection[ExecutionState] | None = None,
        scope: Scope | None = None,
    ) -> list[Execution]:
        """Return executions, oldest first.

        They are of one experiment, by name or id, or of all; in one of *states*, or any; of one scope, or any.
        """
        with self._database.read() as connection:
            return queries.list_executions(connection, experiment=experiment, states=states, scope=scope)

    def execution_source(self, execution_id: str) -> executions.ExecutionSource:
        """Return what the execution's runs train, as it was told when the execution began.

        Raises:
            NotFound: There is no such execution.
        """
        with self._database.read() as connection:
            return executions.load_source(connection, execution_id)

    def move_execution(self, execution_id: str, state: ExecutionState, *, reason: str | None = None) -> Execution:
        """Move the execution to *state*, with the reason for it. One that is there already stays as it is.

        Raises:
            NotFound: There is no such execution.
            IllegalTransition: It has ended, and otherwise.
        """
        with self._database.write() as connection:
            executions.move_execution(connection, execution_id, target=state, reason=reason, now=self._clock())
            return queries.load_execution(connection, execution_id)

    def add_milestone(
        self,
        run_id: str,
        *,
        attempt: int,
        number: int,
        boundary: int,
        global_step: int,
        score: float,
        checkpoint_id: str,
        is_measured: bool = True,
    ) -> Milestone:
        """Record that the run holds at a milestone, of the generation of its checkpoint there.

        One of the same number is replaced: the run had gone back before it. Told twice of the same checkpoint, return
        the first.

        Raises:
            NotFound: There is no such run.
            StaleAttempt: The run is at another attempt.
        """
        milestone = exploits.NewMilestone(
            number=number,
            boundary=boundary,
            global_step=global_step,
            score=score,
            is_measured=is_measured,
            checkpoint_id=checkpoint_id,
        )
        with self._database.write() as connection:
            return exploits.add_milestone(connection, run_id, milestone, attempt=attempt, now=self._clock())

    def list_milestones(self, execution_id: str) -> list[Milestone]:
        """Return the milestones of an execution's runs in the order they happened."""
        with self._database.read() as connection:
            return exploits.list_milestones(connection, execution_id)

    def commit_exploit(self, exploit: Exploit) -> Exploit:
        """Record the decision, at this moment, and return it, or the one that was recorded in its place.

        The run's exploit at this milestone and boundary stays the only one, unless it failed or was abandoned.

        Raises:
            NotFound: There is no such run.
            IllegalTransition: The generation is not the next after all that the run's exploits have had.
        """
        with self._database.write() as connection:
            return exploits.commit_exploit(connection, exploit, now=self._clock())

    def settle_exploit(
        self, run_id: str, *, attempt: int, generation: int, outcome: ExploitOutcome, reason: str | None = None
    ) -> None:
        """Record how an exploit ended. Once it is applied, its hyperparameters and its generation are the run's.

        If one that had been applied fails or is abandoned, the run is as the applied ones before it made it.

        Raises:
            NotFound: There is no such run, or it has no such exploit.
            StaleAttempt: The run is at another attempt.
            IllegalTransition: It failed or was abandoned before.
        """
        with self._database.write() as connection:
            exploits.settle_exploit(
                connection,
                run_id,
                attempt=attempt,
                generation=generation,
                outcome=outcome,
                reason=reason,
                now=self._clock(),
            )

    def list_exploits(self, *, execution_id: str | None = None, run_id: str | None = None) -> list[Exploit]:
        """Return exploits in the order they were decided: of one execution or all, of one run or any."""
        with self._database.read() as connection:
            return exploits.list_exploits(connection, execution_id=execution_id, run_id=run_id)

    def lineage(self, experiment: str) -> Lineage:
        """Return the lineage of an experiment's newest execution that has runs (name or id); else just its runs.

        Raises:
            NotFound: There is no such experiment.
        """
        with self._database.read() as connection:
            return exploits.load_lineage(connection, experiment)
