"""What comes of a run that there is: its schedule of hyperparameters as one run, or its values as a revision."""

from __future__ import annotations

import math

from arena_ray.model.ancestry import require_execution, schedule_of
from arena_ray.model.naming import new_id
from arena_ray.model.records import Lineage, Revision, Run
from arena_ray.model.spec import ExperimentSpec, FlagValue, PluginCall, check_name
from arena_ray.model.standing import EPISODIC_RETURN, Standing
from arena_ray.orchestrator.admission import Admission, Started, spec_of
from arena_ray.orchestrator.drivers import Drivers
from arena_ray.orchestrator.revisions import Revisions
from arena_ray.registry.store import Store
from arena_ray.registry.submission import Authorship

REPLAY = "replay_schedule"
"""The plugin that carries a schedule out."""


class Successors:
    """Makes executions and revisions out of runs. Every method raises :class:`NotFound` where there is no such run."""

    def __init__(
        self,
        *,
        store: Store,
        revisions: Revisions,
        admission: Admission,
        drivers: Drivers,
    ) -> None:
        self._store = store
        self._revisions = revisions
        self._admission = admission
        self._drivers = drivers

    def replay(
        self, key: str, *, seed: int | None = None, force_new: bool = False, request_id: str | None = None
    ) -> Started:
        """Have one run follow the schedule along which the weights of the run *key* were trained.

        It trains the run's revision, with *seed* or else that of its plugin execution.

        Raises:
            SpecError: No plugin has tuned it, or its script does not take the schedule; nothing was recorded.
        """
        run = self._store.require_run(key)
        lineage = self._lineage(run, require_execution(run))
        execution = Standing(lineage).execution
        settings = execution.settings
        kept = {name: settings[name] for name in ("metric", "mode", "allow_restart") if settings.get(name) is not None}
        plugin = PluginCall(name=REPLAY, settings={"schedule": schedule_of(lineage, run).to_data(), **kept})
        started = self._admission.admit_revision(
            self._revision(run),
            plugin,
            seed=execution.spec.seed if seed is None else seed,
            force_new=force_new,
            request_id=request_id,
        )
        self._drivers.ensure(started.experiment_id)
        return started

    def promote(self, key: str, *, name: str | None = None, request_id: str | None = None) -> Revision:
        """Make a revision with the hyperparameters that the run *key* has now; the next plugin begins with it.

        Where it would begin with such a one already, that one is returned.

        Raises:
            SpecError: *name* has other characters than a name may have.
            RevisionRefused: A plugin refuses it.
        """
        if name is not None:
            check_name(name, kind="a revision")
        run = self._store.require_run(key)
        parent = self._revision(run)
        spec, name, notes = self._spec(run, parent), name or f"promoted-{run.name}"[:80], self._origin(run)
        known = self._admission.beginnings(run.experiment_id)
        if known and (known[-1].name, known[-1].notes, known[-1].hyperparameters) == (
            name,
            notes,
            spec.hyperparameters,
        ):
            return known[-1]
        author = Authorship(None, f"promotion {request_id or new_id()}", parent.revision_id, name=name, notes=notes)
        return self._revisions.add(spec, parent=parent, author=author)

    def _lineage(self, run: Run, execution_id: str) -> Lineage:
        return Lineage(
            experiment=run.experiment,
            execution=self._store.get_execution(execution_id),
            runs=self._store.list_runs(execution_id=execution_id),
            milestones=self._store.list_milestones(execution_id),
            exploits=self._store.list_exploits(execution_id=execution_id),
        )

    def _revision(self, run: Run) -> Revision:
        revision = self._store.get_revision(run.revision_id)
        assert revision is not None, f"run {run.name} has lost its revision"
        return revision

    def _spec(self, run: Run, revision: Revision) -> ExperimentSpec:
        experiment = self._store.get_experiment(run.experiment_id)
        assert experiment is not None, f"run {run.name} has lost its experiment"
        hyperparameters: dict[str, FlagValue] = {**revision.hyperparameters, **run.hyperparameters}
        return spec_of(experiment, revision).model_copy(update={"hyperparameters": hyperparameters, "seed": run.seed})

    def _origin(self, run: Run) -> str:
        metric, score = EPISODIC_RETURN, run.episodic_return
        steered = ""
        if run.execution_id:
            standing = Standing(self._lineage(run, run.execution_id))
            metric, score = standing.metric, standing.score(run)
            steered = f" of {standing.execution.plugin}, after {run.generation} exploits"
        reached = f"{metric} {score:g}" if math.isfinite(score) else f"{metric} not measured"
        return f"promoted from run {run.name}{steered}, {run.state} at step {run.global_step}: {reached}"
