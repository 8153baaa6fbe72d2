"""The orchestrator itself, without Ray: the one place that changes the registry.

The actor around it is a thin shell; so everything here can be tested in one process.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from arena_ray.model.errors import IllegalTransition, RegistryError, StaleAttempt, StaleDriver
from arena_ray.model.events import Batch, MetricPoint
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Attempt
from arena_ray.model.settings import Settings
from arena_ray.model.spec import PluginCall
from arena_ray.model.states import ACTIVE_STATES, AT_WORK, AttemptOutcome, ExecutionState, RunState, Scope
from arena_ray.orchestrator import endings
from arena_ray.orchestrator.admission import Admission, Started
from arena_ray.orchestrator.bundle_store import BundleStore
from arena_ray.orchestrator.checkpoint_keeping import register_checkpoint
from arena_ray.orchestrator.drivers import Drivers
from arena_ray.orchestrator.executions import Executions
from arena_ray.orchestrator.experiments import Experiments
from arena_ray.orchestrator.gate import Gate
from arena_ray.orchestrator.graphs import TrialExporter
from arena_ray.orchestrator.heard import HeardOfRuns
from arena_ray.orchestrator.plugin_calls import PluginCalls
from arena_ray.orchestrator.plugin_looks import PluginLooks
from arena_ray.orchestrator.plugin_orders import PluginOrders
from arena_ray.orchestrator.policies import Policies, endpoint_token
from arena_ray.orchestrator.reader import RegistryReader
from arena_ray.orchestrator.reserve import Reserve
from arena_ray.orchestrator.resumption import Resumption
from arena_ray.orchestrator.revisions import Revisions
from arena_ray.orchestrator.runs import Runs
from arena_ray.orchestrator.successors import Successors
from arena_ray.plugin.catalog import Plugins
from arena_ray.registry.export import export_runs
from arena_ray.registry.store import Store
from arena_ray.runner.preflight import Submission
from arena_ray.runner.protocol import Runner
from arena_ray.scheduling.conversation import Host
from arena_ray.scheduling.feasibility import NodeCapacity
from arena_ray.scheduling.port import Acknowledgement, Assignment, RunToDrive
from arena_ray.serving.endpoints import Endpoints
from arena_ray.telemetry.hub import Hub

log = logging.getLogger(__name__)


class Orchestrator:
    """Takes orders from people and reports from runs, and keeps the registry. Thread-safe."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        settings: Settings,
        store: Store,
        hub: Hub,
        runners: Mapping[str, Runner],
        drivers: Drivers,
        capacity: Callable[[], Sequence[NodeCapacity]],
        endpoints: Endpoints,
        plugins: Plugins,
        start_host: Callable[[str], Host],
        directories: Sequence[Path] = (),
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._bundles = BundleStore(workspace.bundles)
        self._reserve = Reserve(workspace.reserve)
        self._store = store
        self._hub = hub
        self._drivers = drivers
        self._resumption = Resumption(store, workspace=workspace, runners=runners, settings=settings)
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._is_retired = False
        self._drivers_by_experiment: dict[str, str] = {}
        self._begun: dict[str, Attempt] = {}
        reader = RegistryReader(workspace, registry_url=settings.registry_url)
        looks = PluginLooks(store, heard=HeardOfRuns(workspace, hub), reader=reader)
        self._gate = Gate(plugins, store=store, looks=looks, start=start_host, directories=directories)
        revisions = Revisions(store=store, bundles=self._bundles, runners=runners, gate=self._gate)
        self.runs = Runs(store, bundles=self._bundles, runners=runners, locks=self._locks, drivers=drivers)
        self._admission = Admission(
            workspace,
            store=store,
            bundles=self._bundles,
            reserve=self._reserve,
            runners=runners,
            plugins=plugins,
            gate=self._gate,
            capacity=capacity,
        )
        self.executions = Executions(
            store=store,
            hub=hub,
            bundles=self._bundles,
            runners=runners,
            locks=self._locks,
            runs=self.runs,
            revisions=revisions,
            require_driver=self._require_driver,
        )
        self.policies = Policies(
            workspace,
            store=store,
            endpoints=endpoints,
            token=partial(endpoint_token, workspace, settings),
            exporter=TrialExporter(workspace, runners=runners, assignment=self.assignment),
        )
        orders = PluginOrders(
            store=store,
            locks=self._locks,
            revisions=revisions,
            stop=self.runs.stop_for,
            deploy=lambda run_id, name, select: self.policies.deploy(run_id, name, select=select).version,
        )
        self.plugins = PluginCalls(store=store, orders=orders, looks=looks, require=self.executions.require)
        self.experiments = Experiments(store, runs=self.runs, drivers=drivers)
        self.successors = Successors(store=store, revisions=revisions, admission=self._admission, drivers=drivers)

    def start(self, submission: Submission, *, force_new: bool = False, request_id: str | None = None) -> Started:
        """Check *submission* and have it trained, by its plugin where it names one; what is unfinished goes on.

        Raises:
            SpecError: What was submitted cannot be run; nothing was recorded.
            InfeasibleResources: No node could ever take it; nothing was recorded.
        """
        started = self._admission.admit(submission, force_new=force_new, request_id=request_id)
        self._drivers.ensure(started.experiment_id)
        return started

    def run_plugin(
        self, experiment: str, plugin: PluginCall, *, force_new: bool = False, request_id: str | None = None
    ) -> Started:
        """Have a plugin steer an experiment that there is, from its newest revision.

        Raises:
            NotFound: There is no such experiment.
            SpecError: The plugin cannot be used, or not with these settings; nothing was recorded.
        """
        started = self._admission.admit_plugin(experiment, plugin, force_new=force_new, request_id=request_id)
        self._drivers.ensure(started.experiment_id)
        return started

    def assignment(self, run_id: str) -> Assignment:
        """Return what the run's actor needs to start it."""
        run = self._store.require_run(run_id)
        revision = self._store.get_revision(run.revision_id)
        if revision is None:
            raise LookupError(f"run {run.name} has lost its revision {run.revision_id}")
        return Assignment(
            run=run,
            revision=revision,
            bundle=self._bundles.load(revision.bundle),
            checkpoints=tuple(self._store.list_checkpoints(run_id)),
            settings=self._settings,
            home=str(self._workspace.home),
            exploits=self.executions.orders_of(run),
            milestones=self.executions.milestones_of(run),
        )

    def begin_attempt(self, run_id: str, *, node: str, resumed_from: str | None, token: str) -> Attempt:
        """Begin the next attempt at a run; every earlier one is fenced off from now on.

        Raises:
            IllegalTransition: The run is paused or has ended, perhaps over an attempt that is found to be lost now.
        """
        with self._locks[run_id]:
            if token not in self._begun:
                self._give_up_attempt(run_id)
                attempt = self._store.begin_attempt(run_id, node=node, resumed_from=resumed_from)
                self._resumption.record(attempt)
                self._begun[token] = attempt
            return self._begun[token]

    def _give_up_attempt(self, run_id: str) -> None:
        """Record the end of an attempt that is at work still, for all one knows, although another one is to begin."""
        run = self._store.require_run(run_id)
        if run.state not in AT_WORK:
            return
        newest = self._store.list_attempts(run_id)[-1]
        # An end that was told stands, though the run's state was not written down any more.
        outcome = newest.outcome or AttemptOutcome.LOST
        reason = newest.reason if newest.outcome else "nobody told how it ended: its actor, driver or node died"
        self.end_attempt(run_id, attempt=run.attempt, outcome=outcome, reason=reason)

    def report(self, batch: Batch) -> Acknowledgement:
        """Take in what an attempt tells; when this returns, it is kept.

        Raises:
            StaleAttempt: A newer attempt has taken over; nothing of the batch was taken.
            OSError: The archive cannot be written.
        """
        with self._locks[batch.run_id]:
            run = self._store.require_run(batch.run_id)
            if run.attempt != batch.attempt:
                raise StaleAttempt(run.name, attempt=batch.attempt, current=run.attempt)
            saved = self._hub.add(run.name, batch)
            mean_return = self._hub.episodic_return(run.name)
            intent = self._store.record_progress(
                run.run_id,
                attempt=batch.attempt,
                boundary=batch.boundary,
                global_step=batch.global_step,
                episodic_return=mean_return,
                steps_per_second=batch.steps_per_second,
            )
            for event, standing in saved:
                register_checkpoint(self._store, run, batch.attempt, event, **vars(standing))
            if saved:
                export_runs(self._store, self._workspace.runs_export)
        return Acknowledgement(intent=intent, episodic_return=mean_return)

    def end_attempt(self, run_id: str, *, attempt: int, outcome: AttemptOutcome, reason: str | None) -> RunState:
        """Record how an attempt ended.

        Returns:
            The state that the run is in now; ``queued`` means that it is to be started again.

        Raises:
            StaleAttempt: A newer attempt has taken over.
        """
        try:
            return self._record_end(run_id, attempt, outcome, reason)
        except RegistryError:  # a full disk would else keep an end from being known, for ever
            if not self._reserve.release():
                raise
            return self._record_end(run_id, attempt, outcome, reason)

    def _record_end(self, run_id: str, attempt: int, outcome: AttemptOutcome, reason: str | None) -> RunState:
        with self._locks[run_id]:
            run = self._store.require_run(run_id)
            if run.state.is_final or run.state is RunState.PAUSED:
                return run.state
            if attempt == 0:  # its actor could not even begin
                return self._store.move_run(run_id, RunState.FAILED, reason=reason).state
            if attempt != run.attempt:
                raise StaleAttempt(run.name, attempt=attempt, current=run.attempt)
            self._store.end_attempt(run_id, attempt=attempt, outcome=outcome, reason=reason)
            streak = self._store.lost_streak(run_id) if outcome is AttemptOutcome.LOST else 0
            target, why = endings.after(run, outcome, reason, streak=streak, most=self._settings.max_lost_attempts)
            run = self._store.move_run(run_id, target, attempt=attempt, reason=why)
        if run.state.is_final:
            self._hub.forget(run.name)
            export_runs(self._store, self._workspace.runs_export)
        return run.state

    def recent_metrics(self, key: str, count: int) -> dict[str, list[MetricPoint]]:
        """Return up to *count* newest points of each tag of a run, from memory."""
        return self._hub.recent_metrics(self._store.require_run(key).name, count)

    def claim_experiment(self, experiment_id: str, *, driver: str) -> None:
        """Make *driver* the experiment's only one."""
        self._drivers_by_experiment[experiment_id] = driver

    def runs_to_drive(self, experiment_id: str, *, driver: str) -> list[RunToDrive]:
        """Return the experiment's runs that are queued or under way, oldest first.

        Raises:
            StaleDriver: Another driver has claimed the experiment since.
        """
        self._require_driver(experiment_id, driver)
        runs = self._store.list_runs(experiment=experiment_id, states=ACTIVE_STATES)
        return [RunToDrive(run.run_id, run.name, run.state, run.resources, run.execution_id) for run in runs]

    def _require_driver(self, experiment_id: str, driver: str) -> None:
        # After a restart of the orchestrator the first to ask is taken for the claimant.
        if self._drivers_by_experiment.setdefault(experiment_id, driver) != driver:
            raise StaleDriver(experiment_id)

    def retire(self) -> None:
        """Start nothing any more: the cluster is being taken down."""
        self._is_retired = True

    def release_runs(self) -> None:
        """Queue again what was under way, so that the next cluster goes on with it."""
        for run in self._store.list_runs(states=AT_WORK):
            with suppress(StaleAttempt, IllegalTransition):  # it has ended by itself meanwhile
                reason = "its cluster was taken down"
                self.end_attempt(run.run_id, attempt=run.attempt, outcome=AttemptOutcome.PREEMPTED, reason=reason)

    def look_after_policies(self, *, timeout_s: float) -> None:
        """See to it that what is deployed answers, once there is something to do, and at the latest in *timeout_s*."""
        self.policies.wait_until_due(timeout_s)
        if not self._is_retired:
            self.policies.look_after()

    def ensure_drivers(self) -> None:
        """See to it that every experiment with something to do has a living driver."""
        if self._is_retired:
            return
        runs = self._store.list_runs(states=ACTIVE_STATES)
        self.executions.end_watches()
        self._gate.close_idle()
        executions = self._store.list_executions(states=[ExecutionState.RUNNING], scope=Scope.EXPERIMENT)
        for experiment_id in {*(run.experiment_id for run in runs), *(each.experiment_id for each in executions)}:
            self._drivers.ensure(experiment_id)
