"""How a submission becomes a run, or the execution of a plugin: checked once more, then recorded, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arena_ray.model.errors import NotFound, SpecError
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Execution, Experiment, ProposedRevision, Revision, Run
from arena_ray.model.spec import ExperimentSpec, PluginCall
from arena_ray.model.states import RunState, Scope
from arena_ray.orchestrator.bundle_store import BundleStore
from arena_ray.orchestrator.gate import Gate
from arena_ray.orchestrator.plugin_check import (
    CheckedPlugin,
    check_plugin,
    check_plugins,
    execution_digest,
    watch_digest,
)
from arena_ray.orchestrator.reserve import Reserve
from arena_ray.plugin.catalog import Plugins
from arena_ray.registry.store import Store
from arena_ray.runner import preflight
from arena_ray.runner.environment import check_environment
from arena_ray.runner.installation import interpreter_for
from arena_ray.runner.preflight import Submission
from arena_ray.runner.protocol import Runner, ScriptReport
from arena_ray.scheduling.feasibility import NodeCapacity, require_feasible

UNFINISHED = [state for state in RunState if not state.is_final]


@dataclass(frozen=True)
class Started:
    """What trains a submission: a run, or the execution of its plugin; *created* is false where one goes on."""

    run: Run | None
    execution: Execution | None
    created: bool

    @property
    def experiment_id(self) -> str:
        """The experiment that it is of."""
        if self.run is not None:
            return self.run.experiment_id
        assert self.execution is not None, "neither a run nor an execution was started"
        return self.execution.experiment_id


def spec_of(experiment: Experiment, revision: Revision) -> ExperimentSpec:
    """Return what would have to stand in an experiment file for this *revision*."""
    return ExperimentSpec(
        experiment=experiment.name,
        project=experiment.project,
        runner=revision.runner,
        script=revision.script,
        env_id=revision.env_id,
        hyperparameters=revision.hyperparameters,
        flags={name: value for name, value in revision.flags.items() if name not in revision.hyperparameters},
        config=revision.config,
        resources=revision.resources,
        checkpoint=revision.checkpoint,
    )


class Admission:
    """Lets submissions in, one after the other."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        store: Store,
        bundles: BundleStore,
        reserve: Reserve,
        runners: Mapping[str, Runner],
        plugins: Plugins,
        gate: Gate,
        capacity: Callable[[], Sequence[NodeCapacity]],
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._bundles = bundles
        self._reserve = reserve
        self._runners = runners
        self._plugins = plugins
        self._gate = gate
        self._capacity = capacity
        self._lock = threading.Lock()

    def admit(
        self,
        submission: Submission,
        *,
        force_new: bool,
        request_id: str | None,
        revision_id: str | None = None,
    ) -> Started:
        """Check *submission* and record it; the same request has the same answer.

        A plugin begins with *revision_id* where that is given, else with what is submitted.

        Raises:
            SpecError: What was submitted cannot be run; nothing was recorded.
            InfeasibleResources: No node could ever take it; nothing was recorded.
        """
        with self._lock:
            submission = preflight.recheck(submission, runners=self._runners)
            plugin = check_plugin(submission, self._plugins, is_revision=revision_id is not None)
            watching = check_plugins(submission, self._plugins, Scope.RUN)
            self._check_cluster(submission)
            if revision_id is None:
                self._gate.require(submission.spec, ProposedRevision.of(submission.spec, flags=submission.flags))
            self._bundles.keep(submission.bundle)
            self._reserve.fill()
            keys: dict[str, Any] = {"force_new": force_new, "revision_id": revision_id, "key": request_id}
            return self._record(submission, plugin, watching, **keys)

    def admit_plugin(self, experiment: str, plugin: PluginCall, *, force_new: bool, request_id: str | None) -> Started:
        """Begin an execution of the plugin on an experiment that there is, with the newest revision that a user knows.

        Raises:
            NotFound: There is no such experiment, or it has no revision.
            SpecError: The plugin cannot be used, or not with these settings; nothing was recorded.
        """
        found = self._store.get_experiment(experiment)
        if found is None:
            raise NotFound("experiment", experiment, known=[each.name for each in self._store.list_experiments()])
        revisions = self.beginnings(found.experiment_id)
        if not revisions:
            raise NotFound("revision", f"of experiment {found.name}")
        newest = revisions[-1]
        if self._scope_of(plugin.name) is Scope.EXPERIMENT:
            return self.admit_revision(newest, plugin, force_new=force_new, request_id=request_id)
        return self._admit_watch(found, newest, plugin, force_new=force_new, key=request_id)

    def beginnings(self, experiment_id: str) -> list[Revision]:
        """Return the experiment's revisions that the user knows: from files, or with a name.

        What was made for a single run of a plugin, a sample or one with flags of its own, is no beginning for another.
        """
        runs = self._store.list_runs(experiment=experiment_id)
        executions = self._store.list_executions(experiment=experiment_id)
        begun_with = {each.revision_id for each in executions} | {r.revision_id for r in runs if r.execution_id is None}
        sampled = {run.revision_id for run in runs} - begun_with
        return [
            each
            for each in self._store.list_revisions(experiment_id)
            if each.name is not None or (each.execution_id is None and each.revision_id not in sampled)
        ]

    def admit_revision(
        self,
        revision: Revision,
        plugin: PluginCall,
        *,
        seed: int | None = None,
        force_new: bool,
        request_id: str | None,
    ) -> Started:
        """Begin an execution of the plugin on a *revision*, whose hyperparameters may be tuned; 1 is the usual seed.

        Raises:
            SpecError: The plugin cannot be used, or not with these settings; nothing was recorded.
        """
        found = self._store.get_experiment(revision.experiment_id)
        assert found is not None, f"revision {revision.revision_id} has lost its experiment"
        own = {"plugin": plugin} | ({"seed": seed} if seed is not None else {})
        submission = self._submission_of(found, revision, **own)
        return self.admit(submission, force_new=force_new, request_id=request_id, revision_id=revision.revision_id)

    def _submission_of(self, found: Experiment, revision: Revision, **own: Any) -> Submission:
        return Submission(
            spec=spec_of(found, revision).model_copy(update=own),
            bundle=self._bundles.load(revision.bundle),
            flags=revision.flags,
            report=ScriptReport(main_loop=None),
        )

    def _scope_of(self, name: str) -> Scope:
        """Return the scope of a plugin that can be run on an experiment.

        Raises:
            SpecError: There is none of this name, or it only looks at revisions.
        """
        scopes = {each.name: each.scope for each in self._plugins.describe() if not each.problem}
        if scopes.get(name) is Scope.REVISION:
            raise SpecError(
                f"plugin {name!r} looks at revisions before they are made; name it under 'revision_plugins' of a file"
            )
        return scopes.get(name) or Scope.EXPERIMENT

    def _admit_watch(
        self, found: Experiment, newest: Revision, plugin: PluginCall, *, force_new: bool, key: str | None
    ) -> Started:
        if not self._store.list_runs(experiment=found.experiment_id, states=UNFINISHED):
            raise SpecError(f"experiment {found.name} has no unfinished run to look at; start one first")
        submission = self._submission_of(found, newest, run_plugins=(plugin,))
        checked = check_plugins(submission, self._plugins, Scope.RUN)
        [own] = [each for each in checked if each.name == plugin.name]
        with self._lock:
            execution, created = self._begin(
                submission, own, Scope.RUN, force_new=force_new, revision_id=newest.revision_id, key=key
            )
        return Started(run=None, execution=execution, created=created)

    def _check_cluster(self, submission: Submission) -> None:
        spec, report = submission.spec, submission.report
        require_feasible(spec.resources, self._capacity())
        check_environment(
            spec.env_id,
            interpreter=interpreter_for(self._runners[spec.runner], spec.script, workspace=self._workspace),
            script_registers=report.registers_environments,
            imports=report.imports,
        )

    def _record(
        self,
        submission: Submission,
        plugin: CheckedPlugin | None,
        watching: Sequence[CheckedPlugin],
        *,
        force_new: bool,
        revision_id: str | None,
        key: str | None,
    ) -> Started:
        spec, digest = submission.spec, submission.bundle.digest()
        source: dict[str, Any] = {"flags": submission.flags, "script": spec.script, "bundle": digest}

        self._begin_watches(submission, watching, revision_id=revision_id)  # so that nothing goes by unseen
        if plugin is None:
            run, created = self._store.submit(spec, force_new=force_new, key=key, **source)
            started = Started(run=run, execution=None, created=created)
        else:
            scope = Scope.EXPERIMENT
            execution, created = self._begin(
                submission, plugin, scope, force_new=force_new, revision_id=revision_id, key=key
            )
            started = Started(run=None, execution=execution, created=created)
        # Watches are ended where there is nothing to watch: as it was until now, perhaps.
        self._begin_watches(submission, watching, revision_id=revision_id)
        return started

    def _begin_watches(
        self, submission: Submission, watching: Sequence[CheckedPlugin], *, revision_id: str | None
    ) -> None:
        for each in watching:
            self._begin(submission, each, Scope.RUN, force_new=False, revision_id=revision_id)

    def _begin(
        self,
        submission: Submission,
        plugin: CheckedPlugin,
        scope: Scope,
        *,
        force_new: bool,
        revision_id: str | None,
        key: str | None = None,
    ) -> tuple[Execution, bool]:
        spec, bundle = submission.spec, submission.bundle.digest()
        steers = scope is Scope.EXPERIMENT
        return self._store.begin_execution(
            spec,
            plugin=plugin.name,
            settings=plugin.settings,
            digest=execution_digest(spec, plugin, bundle=bundle) if steers else watch_digest(plugin),
            flags=submission.flags,
            script=spec.script,
            bundle=bundle,
            force_new=force_new,
            revision_id=revision_id,
            scope=scope,
            key=key,
        )
