"""What the functions of plugins ask for, carried out: revisions, runs, notes, ends of runs, deployments."""

from __future__ import annotations

import copy
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from arena_ray.model.errors import IllegalTransition, NotFound, SpecError
from arena_ray.model.records import Execution, Revision, Run
from arena_ray.model.spec import ExperimentSpec, FlagValue
from arena_ray.orchestrator.executions import pause_with_execution
from arena_ray.orchestrator.plugin_looks import own_run
from arena_ray.orchestrator.plugin_records import PluginRecords
from arena_ray.orchestrator.revisions import Revisions
from arena_ray.registry.columns import storable
from arena_ray.registry.submission import Authorship
from arena_ray.scheduling.plugin_port import NoteOrder, RevisionOrder, RunOrder


class PluginOrders:
    """Carries out what plugins order. Thread-safe; an order that comes twice is carried out once.

    Args:
        store: Where revisions, runs and notes are made.
        locks: One for each run and each execution.
        revisions: Makes revisions, once they are checked.
        stop: Asks for the end of a run, for a reason.
        deploy: Lets a checkpoint of a run answer under a name, and returns the version's number.
    """

    def __init__(
        self,
        *,
        store: PluginRecords,
        locks: defaultdict[str, threading.RLock],
        revisions: Revisions,
        stop: Callable[[str, str], Any],
        deploy: Callable[[str, str, str], int],
    ) -> None:
        self._store = store
        self._locks = locks
        self._revisions = revisions
        self._stop = stop
        self._deploy = deploy

    def add_revision(self, execution: Execution, order: RevisionOrder) -> Revision:
        """Make the revision, unless it exists.

        Raises:
            SpecError: The script or the runner does not take it, or this call made another revision before.
        """
        execution_id = execution.execution_id
        with self._locks[execution_id]:
            parent = self._parent(execution, order.parent_id)
            config = _merge(parent.config, order.config, is_deep=order.is_deep)
            made = self._make(
                execution,
                parent,
                hyperparameters=parent.hyperparameters | order.hyperparameters,
                flags={
                    name: value
                    for name, value in (_own_flags(parent) | order.flags).items()
                    if name not in order.hyperparameters
                },
                config=config,
                env_id=order.env_id,
                author=Authorship(
                    execution_id,
                    f"revision {order.number}",
                    parent_id=parent.revision_id,
                    name=order.name,
                    notes=order.notes or None,
                ),
            )
        wanted = (order.name, parent.hyperparameters | order.hyperparameters, config)
        if (made.name, made.hyperparameters, made.config) != wanted:
            raise _differs(execution, f"made revision {made.name!r}", f"revision {order.name!r}")
        return made

    def start_run(self, execution: Execution, order: RunOrder) -> Run:
        """Queue the run, unless it exists.

        Raises:
            SpecError: The script does not take its flags.
        """
        execution_id = execution.execution_id
        with self._locks[execution_id]:
            revision = self._parent(execution, order.revision_id)
            if order.flags:
                revision = self._with_flags(execution, revision, order)
            seed = execution.spec.seed if order.seed is None else order.seed
            run, _ = self._store.submit(
                _spec_of(execution, revision).model_copy(update={"seed": seed}),
                flags=revision.flags,
                script=revision.script,
                bundle=revision.bundle,
                execution_id=execution_id,
                member=order.member,
                revision_id=revision.revision_id,
                description=order.description or None,
            )
            if (run.revision_id, run.seed) != (revision.revision_id, seed):
                raise _differs(
                    execution,
                    f"started a run of revision {run.revision} with seed {run.seed}",
                    f"one of revision {revision.number} with seed {seed}",
                )
            return pause_with_execution(self._store, run)

    def _with_flags(self, execution: Execution, revision: Revision, order: RunOrder) -> Revision:
        """Return the revision of a run that has flags of its own."""
        tuned = sorted(order.flags.keys() & revision.hyperparameters.keys())
        if tuned:
            raise SpecError(
                f"{', '.join(tuned)}: a hyperparameter of revision {revision.number}, not a flag of a single run; "
                "make a revision with create_revision_with_hyperparameters"
            )
        return self._make(
            execution,
            revision,
            hyperparameters=revision.hyperparameters,
            flags=_own_flags(revision) | order.flags,
            config=revision.config,
            author=Authorship(execution.execution_id, f"run {order.member}", parent_id=revision.revision_id),
        )

    def _make(
        self,
        execution: Execution,
        parent: Revision,
        *,
        hyperparameters: Mapping[str, FlagValue],
        flags: Mapping[str, FlagValue],
        config: Mapping[str, Any],
        author: Authorship,
        env_id: str | None = None,
    ) -> Revision:
        changes: dict[str, Any] = {"hyperparameters": dict(hyperparameters), "flags": dict(flags)}
        changes |= {"config": dict(config), "env_id": env_id or parent.env_id}
        spec = _spec_of(execution, parent).model_copy(update=changes)
        return self._revisions.add(spec, parent=parent, author=author)

    def _parent(self, execution: Execution, revision_id: str | None) -> Revision:
        """Return the revision of this id, or else the one that the execution began with."""
        if revision_id is None:
            return self._store.base_revision(execution.execution_id)
        revision = self._store.get_revision(revision_id)
        if revision is None or revision.experiment_id != execution.experiment_id:
            raise NotFound("revision", revision_id)
        return revision

    def add_note(self, execution: Execution, order: NoteOrder) -> bool:
        """Write the note, unless it is written, and return whether it was not.

        Raises:
            NotFound: It is on a run or a revision that the experiment does not have.
            SpecError: This call wrote another note before.
        """
        if order.run_id is not None:
            own_run(self._store, execution, order.run_id)
        if order.revision_id is not None:
            self._parent(execution, order.revision_id)
        note, is_new = self._store.add_note(
            execution.experiment_id,
            order.text,
            run_id=order.run_id,
            revision_id=order.revision_id,
            execution_id=execution.execution_id,
            call=order.call,
        )
        if order.call.startswith("note ") and note.text != storable(order.text):
            raise _differs(execution, f"noted {note.text!r}", repr(order.text))
        return is_new

    def stop_run(self, execution: Execution, run_id: str, reason: str) -> None:
        """Ask for the end of a run. One that has ended stays as it is.

        Raises:
            NotFound: The experiment has no such run.
        """
        run = own_run(self._store, execution, run_id)
        with suppress(IllegalTransition):
            self._stop(run.run_id, f"stopped by plugin {execution.plugin}{f': {reason}' if reason else ''}")

    def deploy(self, execution: Execution, run_id: str, name: str, select: str) -> int:
        """Let a checkpoint of a run answer under a name, and return the number of the version.

        Raises:
            NotFound: The experiment has no such run, or the run no checkpoint.
            PolicyUnusable: The checkpoint holds no policy.
        """
        return self._deploy(own_run(self._store, execution, run_id).run_id, name, select)


def _differs(execution: Execution, before: str, now: str) -> SpecError:
    return SpecError(
        f"plugin {execution.plugin!r} {before} at this place when it ran before, and wants {now} now; "
        "after a restart a plugin must ask for the same as before"
    )


def _own_flags(revision: Revision) -> dict[str, FlagValue]:
    """Return what the script is given beside the hyperparameters."""
    return {name: value for name, value in revision.flags.items() if name not in revision.hyperparameters}


def _spec_of(execution: Execution, revision: Revision) -> ExperimentSpec:
    return execution.spec.model_copy(
        update={
            "plugin": None,
            "runner": revision.runner,
            "env_id": revision.env_id,
            "hyperparameters": revision.hyperparameters,
            "flags": _own_flags(revision),
            "config": revision.config,
            "resources": revision.resources,
            "checkpoint": revision.checkpoint,
        }
    )


def _merge(former: Mapping[str, Any], updates: Mapping[str, Any], *, is_deep: bool) -> dict[str, Any]:
    """Return *former* with *updates*; mappings within are merged where *is_deep*, else replaced."""
    merged = copy.deepcopy(dict(former))
    for key, value in updates.items():
        both = is_deep and isinstance(merged.get(key), Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(merged[key], value, is_deep=True) if both else copy.deepcopy(value)
    return merged
