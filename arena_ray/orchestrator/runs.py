"""Steering of single runs: what the user asks of them, and what schedulers and plugins do."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress

from arena_ray.model.errors import IllegalTransition, NoMainLoop
from arena_ray.model.records import Run
from arena_ray.model.states import ACTIVE_STATES, ALLOWED_MOVES, AttemptOutcome, Intent, RunState
from arena_ray.orchestrator import endings
from arena_ray.orchestrator.bundle_store import BundleStore
from arena_ray.orchestrator.drivers import Drivers
from arena_ray.registry.store import Store
from arena_ray.runner.protocol import Runner


class Runs:
    """Stops, pauses and resumes runs. Thread-safe. A run is meant by its id, its name or a unique prefix."""

    def __init__(
        self,
        store: Store,
        *,
        bundles: BundleStore,
        runners: Mapping[str, Runner],
        locks: defaultdict[str, threading.RLock],
        drivers: Drivers,
    ) -> None:
        self._store = store
        self._bundles = bundles
        self._runners = runners
        self._locks = locks
        self._drivers = drivers

    def stop(self, key: str, *, now: bool = False) -> tuple[Run, str | None]:
        """Ask for the end of a run: at its next boundary, after a last snapshot, or at once.

        Returns:
            The run, and with *now* the work that is given up.

        Raises:
            NotFound: There is no such run.
            IllegalTransition: The run has ended already.
        """
        run = self._stop(key, Intent.STOP_NOW if now else Intent.STOP, reason=None)
        return run, self._work_at_risk(run) if now and not run.state.is_final else None

    def stop_for(self, run_id: str, reason: str) -> None:
        """Ask for the end of a run on behalf of a scheduler or a plugin. One that has ended stays as it is."""
        with suppress(IllegalTransition):
            self._stop(run_id, Intent.STOP, reason=reason)

    def _stop(self, key: str, intent: Intent, *, reason: str | None) -> Run:
        run = self._store.require_run(key)
        with self._locks[run.run_id]:
            run = self._store.require_run(run.run_id)
            if run.state in (RunState.QUEUED, RunState.PAUSED):
                reason = reason or endings.REASONS[AttemptOutcome.STOPPED]
                return self._store.move_run(run.run_id, RunState.STOPPED, reason=reason)
            return self._store.request(run.run_id, intent, reason=reason)

    def _work_at_risk(self, run: Run) -> str:
        checkpoints = self._store.list_checkpoints(run.run_id)
        kept = checkpoints[0].global_step if checkpoints else 0
        return f"steps {kept} to {run.global_step} of {run.name}: they lie after its last checkpoint"

    def pause(self, key: str) -> Run:
        """Ask a run to take a snapshot and give its resources back.

        Raises:
            NotFound: There is no such run.
            IllegalTransition: The run has ended or is paused already.
            NoMainLoop: Its script has no place at which it could.
        """
        return self._pause(key, reason=None)

    def pause_for(self, run_id: str, reason: str) -> None:
        """Ask a run to pause on behalf of a plugin. One that has ended or is paused stays as it is.

        Raises:
            NoMainLoop: Its script has no place at which it could.
        """
        with suppress(IllegalTransition):
            self._pause(run_id, reason=reason)

    def _pause(self, key: str, *, reason: str | None) -> Run:
        run = self._store.require_run(key)
        with self._locks[run.run_id]:
            run = self._store.require_run(run.run_id)
            if run.state is RunState.QUEUED:
                reason = reason or endings.REASONS[AttemptOutcome.PAUSED]
                return self._store.move_run(run.run_id, RunState.PAUSED, reason=reason)
            self._require_main_loop(run)
            return self._store.request(run.run_id, Intent.PAUSE, reason=reason)

    def _require_main_loop(self, run: Run) -> None:
        revision = self._store.get_revision(run.revision_id)
        assert revision is not None, f"run {run.name} has lost its revision"
        bundle = self._bundles.load(revision.bundle)
        if self._runners[run.runner].inspect(bundle.files[bundle.entry], path=run.script).main_loop is None:
            raise NoMainLoop(run.script)

    def resume(self, key: str) -> Run:
        """Queue a paused run again; where a pause has not taken effect yet, take it back.

        Raises:
            NotFound: There is no such run.
            IllegalTransition: The run is neither paused nor about to be.
        """
        run = self._store.require_run(key)
        with self._locks[run.run_id]:
            run = self._store.require_run(run.run_id)
            if run.intent is Intent.PAUSE and run.state in ACTIVE_STATES:
                run = self._store.request(run.run_id, Intent.NONE)
            elif run.state is RunState.PAUSED:
                run = self._store.move_run(run.run_id, RunState.QUEUED)
            else:
                raise IllegalTransition(run.name, state=run.state, target="resumed", allowed=ALLOWED_MOVES[run.state])
        self._drivers.ensure(run.experiment_id)
        return run
