"""Plugin executions as the orchestrator keeps them: begun, given runs, judged at milestones, ended."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress

from arena_ray.model.errors import IllegalTransition, NotFound, StaleAttempt
from arena_ray.model.records import Checkpoint, Execution, Exploit, Milestone, Run
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import ExecutionState, ExploitOutcome, RunState, Scope
from arena_ray.orchestrator.bundle_store import BundleStore
from arena_ray.orchestrator.checkpoint_keeping import thin_out
from arena_ray.orchestrator.plugin_records import PluginRecords
from arena_ray.orchestrator.revisions import Revisions
from arena_ray.orchestrator.runs import Runs
from arena_ray.registry.store import Store
from arena_ray.runner import preflight
from arena_ray.runner.protocol import Runner, ScriptReport
from arena_ray.scheduling.execution_port import ExploitOrder, StudyRecord
from arena_ray.telemetry.hub import Hub

OPEN = [state for state in ExecutionState if not state.is_final]


def pause_with_execution(store: PluginRecords, run: Run) -> Run:
    """Return a run that has just been queued, paused where its execution is: also one that was paused meanwhile."""
    execution = store.get_execution(run.execution_id or "")
    if execution is None or execution.state is not ExecutionState.PAUSED or run.state is not RunState.QUEUED:
        return run
    with suppress(IllegalTransition):
        run = store.move_run(run.run_id, RunState.PAUSED, reason=execution.reason)
    again = store.get_execution(execution.execution_id)
    if again is not None and again.state is ExecutionState.RUNNING:  # it was resumed in between, without this run
        with suppress(IllegalTransition):
            run = store.move_run(run.run_id, RunState.QUEUED)
    return run


class Executions:
    """What drivers and run actors ask of the orchestrator for plugin executions. Thread-safe."""

    def __init__(
        self,
        *,
        store: Store,
        hub: Hub,
        bundles: BundleStore,
        runners: Mapping[str, Runner],
        locks: defaultdict[str, threading.RLock],
        runs: Runs,
        revisions: Revisions,
        require_driver: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._hub = hub
        self._bundles = bundles
        self._runners = runners
        self._locks = locks
        self._runs = runs
        self._revisions = revisions
        self._require_driver = require_driver

    def to_drive(self, experiment_id: str, *, driver: str) -> list[Execution]:
        """Return the experiment's plugin executions that have not ended, oldest first.

        Raises:
            StaleDriver: Another driver has claimed the experiment since.
        """
        self._require_driver(experiment_id, driver)
        executions = self._store.list_executions(experiment=experiment_id, states=OPEN)
        if all(execution.scope is Scope.EXPERIMENT for execution in executions):
            return executions
        self.end_watches()
        return self._store.list_executions(experiment=experiment_id, states=OPEN)

    def end_watches(self) -> None:
        """End the executions that only look at runs where there are none to look at any more."""
        watches = self._store.list_executions(states=OPEN, scope=Scope.RUN)
        for experiment_id in {watch.experiment_id for watch in watches}:
            unfinished = [state for state in RunState if not state.is_final]
            if self._store.list_executions(experiment=experiment_id, states=OPEN, scope=Scope.EXPERIMENT):
                continue
            if self._store.list_runs(experiment=experiment_id, states=unfinished):
                continue
            for watch in watches:
                if watch.experiment_id == experiment_id:
                    with suppress(IllegalTransition):
                        self._store.move_execution(watch.execution_id, ExecutionState.COMPLETED)

    def require(self, execution_id: str, driver: str) -> Execution:
        """Return the execution, for the driver with this token.

        Raises:
            NotFound: There is no such execution.
            StaleDriver: Another driver has claimed the experiment since.
        """
        execution = self._store.get_execution(execution_id)
        if execution is None:
            raise NotFound("execution", execution_id)
        self._require_driver(execution.experiment_id, driver)
        return execution

    def record(self, execution_id: str) -> StudyRecord:
        """Return what has happened in a plugin execution so far.

        Raises:
            NotFound: There is no such execution.
        """
        execution = self._store.get_execution(execution_id)
        if execution is None:
            raise NotFound("execution", execution_id)
        return StudyRecord(
            execution=execution,
            runs=tuple(self._store.list_runs(execution_id=execution_id)),
            milestones=tuple(self._store.list_milestones(execution_id)),
            exploits=tuple(self._store.list_exploits(execution_id=execution_id)),
        )

    def report_of(self, execution_id: str) -> tuple[ScriptReport, dict[str, FlagValue]]:
        """Return what is known of the script that an execution's runs train, and what all of them are given."""
        execution = self._store.get_execution(execution_id)
        source = self._store.execution_source(execution_id)
        if execution is None:
            raise NotFound("execution", execution_id)
        bundle = self._bundles.load(source.bundle)
        runner = self._runners[execution.spec.runner]
        return runner.inspect(bundle.files[bundle.entry], path=source.script), source.flags

    def total_steps(self, execution_id: str) -> int:
        """Return how many steps each of the execution's runs takes; 0 where its script has no flag that tells."""
        report, flags = self.report_of(execution_id)
        return preflight.total_steps(report, flags) or 0

    def add_run(
        self,
        execution_id: str,
        *,
        driver: str,
        member: int,
        hyperparameters: Mapping[str, FlagValue],
        seed: int,
    ) -> Run:
        """Queue the execution's run with this number, unless it exists.

        Raises:
            StaleDriver: Another driver has claimed the experiment since.
            SpecError: The script does not take these hyperparameters, or a plugin refuses them.
        """
        execution = self.require(execution_id, driver)
        source, spec = self._store.execution_source(execution_id), execution.spec
        merged = {**spec.hyperparameters, **hyperparameters}
        spec = spec.model_copy(update={"plugin": None, "hyperparameters": merged, "seed": seed})
        flags = self._revisions.check(spec, script=source.script, bundle=source.bundle)
        run, _ = self._store.submit(
            spec,
            flags=flags,
            script=source.script,
            bundle=source.bundle,
            execution_id=execution_id,
            member=member,
        )
        return pause_with_execution(self._store, run)

    def reach_milestone(
        self, run_id: str, *, attempt: int, number: int, place: tuple[int, int], metric: str
    ) -> Milestone:
        """Record that the attempt holds at a milestone, where it has a checkpoint, and score it.

        Raises:
            StaleAttempt: A newer attempt has taken over.
            NotFound: The run has no checkpoint of this boundary and generation.
        """
        with self._locks[run_id]:
            run = self._store.require_run(run_id)
            if run.attempt != attempt:
                raise StaleAttempt(run.name, attempt=attempt, current=run.attempt)
            known = self._store.list_checkpoints(run_id)  # the furthest may be one that is damaged
            here = next((one for one in known if (one.boundary, one.generation) == place), None)
            if here is None:
                raise NotFound("checkpoint", f"at boundary {place[0]} of run {run.name}")
            score = self._hub.score(run.name, metric)
            return self._store.add_milestone(
                run_id,
                attempt=attempt,
                number=number,
                boundary=here.boundary,
                global_step=here.global_step,
                score=math.nan if score is None else score,
                is_measured=score is not None,
                checkpoint_id=here.checkpoint_id,
            )

    def final_scores(self, execution_id: str, *, metric: str) -> dict[str, float]:
        """Return the newest value of a tag by run, of all runs of the execution that have logged it."""
        runs = self._store.list_runs(execution_id=execution_id)
        scores = {run.run_id: self._hub.score(run.name, metric) for run in runs}
        return {run_id: score for run_id, score in scores.items() if score is not None and math.isfinite(score)}

    def durations(self, execution_id: str) -> dict[str, float]:
        """Return for how many seconds the attempts of each of its runs were at work, all of them together, by run."""
        attempts = {run.run_id: self._store.list_attempts(run.run_id) for run in self.record(execution_id).runs}
        return {
            run_id: sum((one.ended_at - one.started_at).total_seconds() for one in known if one.ended_at is not None)
            for run_id, known in attempts.items()
        }

    def commit_exploit(self, exploit: Exploit, *, driver: str) -> ExploitOrder:
        """Record the decision; where the run has one at this milestone already, return that one.

        Raises:
            StaleDriver: Another driver has claimed the experiment since; nothing was recorded.
        """
        self.require(exploit.execution_id, driver)
        with self._locks[exploit.donor_run_id]:  # its checkpoint is not removed between here and there
            checkpoint = self._store.get_checkpoint(exploit.donor_checkpoint_id)
            digest = checkpoint.digest if checkpoint else ""
            recorded = self._store.commit_exploit(exploit.model_copy(update={"donor_digest": digest}))
        return self._order(recorded)

    def settle_exploit(
        self, run_id: str, *, attempt: int, generation: int, outcome: ExploitOutcome, reason: str | None = None
    ) -> None:
        """Record how a committed exploit ended; once applied, its hyperparameters and generation are the run's.

        Raises:
            StaleAttempt: A newer attempt has taken over.
        """
        with self._locks[run_id]:
            self._store.settle_exploit(run_id, attempt=attempt, generation=generation, outcome=outcome, reason=reason)

    def _order(self, exploit: Exploit) -> ExploitOrder:
        checkpoint: Checkpoint | None = self._store.get_checkpoint(exploit.donor_checkpoint_id)
        return ExploitOrder(exploit, checkpoint)

    def orders_of(self, run: Run) -> tuple[ExploitOrder, ...]:
        """Return the run's exploits that were committed and have not failed, by generation."""
        if run.execution_id is None:
            return ()
        lasting = (ExploitOutcome.COMMITTED, ExploitOutcome.APPLIED)
        known = self._store.list_exploits(run_id=run.run_id)
        return tuple(self._order(exploit) for exploit in known if exploit.outcome in lasting)

    def milestones_of(self, run: Run) -> tuple[Milestone, ...]:
        """Return the milestones that the run has reached."""
        if run.execution_id is None:
            return ()
        known = self._store.list_milestones(run.execution_id)
        return tuple(milestone for milestone in known if milestone.run_id == run.run_id)

    def stop_run(self, run_id: str, *, driver: str, reason: str) -> None:
        """Ask for the run's end on behalf of a scheduler. One that has ended stays as it is.

        Raises:
            StaleDriver: Another driver has claimed the experiment since.
        """
        run = self._store.require_run(run_id)
        self._require_driver(run.experiment_id, driver)
        self._runs.stop_for(run_id, reason)

    def pause_run(self, run_id: str, *, driver: str, reason: str) -> None:
        """Ask for the run's pause at its next boundary, on behalf of a plugin. One that has ended stays as it is.

        Raises:
            StaleDriver: Another driver has claimed the experiment since.
            NoMainLoop: Its script has no boundary.
        """
        run = self._store.require_run(run_id)
        self._require_driver(run.experiment_id, driver)
        self._runs.pause_for(run_id, reason)

    def end(self, execution_id: str, *, driver: str, state: ExecutionState, reason: str | None = None) -> None:
        """Record how a plugin execution ended, unless the user has stopped it meanwhile; end the runs of a failed one.

        Raises:
            StaleDriver: Another driver has claimed the experiment since.
        """
        self.require(execution_id, driver)
        with suppress(IllegalTransition):
            self._store.move_execution(execution_id, state, reason=reason)
        for run in self._store.list_runs(execution_id=execution_id):
            if state is ExecutionState.FAILED:
                self.stop_run(run.run_id, driver=driver, reason=f"its plugin has failed: {reason}")
            thin_out(self._store, run)
