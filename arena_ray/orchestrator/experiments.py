"""Steering of whole experiments: all their runs, and their plugin with them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from arena_ray.model.errors import IllegalTransition, NotFound
from arena_ray.model.records import Execution, Experiment, Run
from arena_ray.model.states import ACTIVE_STATES, ExecutionState, Intent, RunState, Scope
from arena_ray.orchestrator.drivers import Drivers
from arena_ray.orchestrator.executions import OPEN
from arena_ray.registry.store import Store

Standing = tuple[Experiment, Execution | None, list[Run]]
"""An experiment with its newest plugin execution and all its runs."""


class Runs(Protocol):
    """How single runs are steered."""

    def stop(self, key: str, *, now: bool = False) -> Any:
        """Ask for the end of a run."""
        ...

    def pause(self, key: str) -> Any:
        """Ask a run to pause."""
        ...

    def resume(self, key: str) -> Any:
        """Let a paused run go on."""
        ...


class Experiments:
    """Stops, pauses and resumes experiments. Every method raises :class:`NotFound` where there is none of the name."""

    def __init__(self, store: Store, *, runs: Runs, drivers: Drivers) -> None:
        self._store = store
        self._runs = runs
        self._drivers = drivers

    def stop(self, name: str, *, now: bool = False) -> Standing:
        """Ask for the end of all that the experiment does."""
        experiment = self._require(name)
        self._move_executions(experiment, ExecutionState.STOPPED, reason="stopped by the user")
        self._move_runs(
            experiment, lambda run: not run.state.is_final, lambda run: self._runs.stop(run.run_id, now=now)
        )
        return self._standing(experiment)

    def pause(self, name: str) -> Standing:
        """Ask all runs of the experiment to pause, and its plugin to begin no others."""
        experiment = self._require(name)
        self._move_executions(experiment, ExecutionState.PAUSED, reason="paused by the user")
        self._move_runs(experiment, lambda run: run.state in ACTIVE_STATES, lambda run: self._runs.pause(run.run_id))
        return self._standing(experiment)

    def resume(self, name: str) -> Standing:
        """Let what is paused of the experiment go on."""
        experiment = self._require(name)
        self._move_executions(experiment, ExecutionState.RUNNING, reason=None)
        self._move_runs(experiment, _is_paused, lambda run: self._runs.resume(run.run_id))
        self._drivers.ensure(experiment.experiment_id)
        return self._standing(experiment)

    def _require(self, name: str) -> Experiment:
        experiment = self._store.get_experiment(name)
        if experiment is None:
            raise NotFound("experiment", name, known=[each.name for each in self._store.list_experiments()])
        return experiment

    def _move_executions(self, experiment: Experiment, state: ExecutionState, *, reason: str | None) -> None:
        for execution in self._store.list_executions(experiment=experiment.experiment_id, states=OPEN):
            with suppress(IllegalTransition):  # it has ended meanwhile
                self._store.move_execution(execution.execution_id, state, reason=reason)

    def _move_runs(self, experiment: Experiment, concerns: Callable[[Run], bool], move: Callable[[Run], Any]) -> None:
        for run in self._store.list_runs(experiment=experiment.experiment_id):
            if concerns(run):
                with suppress(IllegalTransition):  # it has ended meanwhile
                    move(run)

    def _standing(self, experiment: Experiment) -> Standing:
        executions = self._store.list_executions(experiment=experiment.experiment_id, scope=Scope.EXPERIMENT)
        runs = self._store.list_runs(experiment=experiment.experiment_id)
        return experiment, executions[-1] if executions else None, runs


def _is_paused(run: Run) -> bool:
    return run.state is RunState.PAUSED or run.intent is Intent.PAUSE
