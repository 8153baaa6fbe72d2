"""An orchestrator whose trainings are played by threads, on a real registry."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from arena_ray.model.errors import IllegalTransition
from arena_ray.model.records import Execution, Experiment, Revision, Run
from arena_ray.model.spec import ExperimentSpec, PluginCall
from arena_ray.model.states import AttemptOutcome, ExecutionState, Intent, RunState
from arena_ray.registry.store import Store
from arena_ray.registry.submission import Authorship
from arena_ray.runner.preflight import Submission

MANY = 1_000_000


def wait_for_line(process: subprocess.Popen[str], part: str) -> None:
    """Read what *process* says on stderr until a line has *part*."""
    assert process.stderr is not None
    assert any(part in line for line in process.stderr), f"it never said {part!r}"


def is_running(store: Store) -> Callable[[], bool]:
    return lambda: any(run.state is RunState.RUNNING for run in store.list_runs())


def progress(store: Store, run_id: str, *, step: int, mean_return: float) -> Intent:
    run = store.require_run(run_id)
    return store.record_progress(
        run_id,
        attempt=run.attempt,
        boundary=step,
        global_step=step,
        episodic_return=mean_return,
        steps_per_second=100.0,
    )


class PlayedOrchestrator:
    """Does what the gateway asks for, on a real registry. Its trainings count steps until ``last_step``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads: list[threading.Thread] = []
        self._is_over = threading.Event()
        self.last_step = 1000
        self.outcome = RunState.COMPLETED
        self.execution_outcome = ExecutionState.COMPLETED
        self.seeds = 1
        """Runs with the same hyperparameters, in a population."""
        self.requests: list[str] = []
        self.policies: Any = None
        """What keeps policies, where a test has some."""
        self.before_completion: Callable[[str], None] = lambda _: None
        """Told of each run that is about to complete."""

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        self.requests.append(method)
        if method.startswith("policies."):
            return attrgetter(method)(self)(*args, **kwargs)
        return getattr(self, method.replace(".", "_"))(*args, **kwargs)

    def start(self, submission: Submission, *, force_new: bool, request_id: str | None) -> SimpleNamespace:
        assert request_id
        spec, bundle = submission.spec, submission.bundle.digest()
        told: dict[str, Any] = {"flags": submission.flags, "script": spec.script, "bundle": bundle}
        if spec.plugin is not None:
            return self._start_plugin(spec, spec.plugin, force_new=force_new, told=told)
        run, created = self._store.submit(spec, force_new=force_new, **told)
        if created:
            self._play(run)
        return SimpleNamespace(run=run, execution=None, created=created)

    def _start_plugin(
        self, spec: ExperimentSpec, plugin: PluginCall, *, force_new: bool, told: dict[str, Any]
    ) -> SimpleNamespace:
        execution, created = self._store.begin_execution(
            spec, plugin=plugin.name, settings=plugin.settings, digest=spec.digest(), force_new=force_new, **told
        )
        if created:
            for member in range(plugin.settings["population"]):
                values = {"learning_rate": (member // self.seeds + 1) / 1000}
                own = spec.model_copy(update={"hyperparameters": values, "seed": spec.seed + member % self.seeds})
                seat = {"execution_id": execution.execution_id, "member": member}
                run, _ = self._store.submit(own, **told, **seat)
                self._play(run)
            self._begin(self._finish, execution.execution_id)
        return SimpleNamespace(run=None, execution=execution, created=created)

    def run_plugin(self, name: str, plugin: PluginCall, *, force_new: bool, request_id: str | None) -> SimpleNamespace:
        assert request_id
        self.plugin_settings = plugin.settings
        spec = ExperimentSpec(experiment=name, runner="cleanrl", script="ppo", env_id="CartPole-v1", plugin=plugin)
        told: dict[str, Any] = {"flags": {}, "script": "ppo", "bundle": "b" * 64}
        return self._start_plugin(spec, plugin, force_new=force_new, told=told)

    def successors_replay(
        self, key: str, *, seed: int | None, force_new: bool, request_id: str | None
    ) -> SimpleNamespace:
        assert request_id
        run = self._store.require_run(key)
        plugin = PluginCall(name="replay_schedule", settings={"population": 1})
        spec = ExperimentSpec(
            experiment=run.experiment,
            runner="cleanrl",
            script="ppo",
            env_id="CartPole-v1",
            plugin=plugin,
            seed=seed or 1,
        )
        told: dict[str, Any] = {"flags": {}, "script": "ppo", "bundle": "b" * 64}
        return self._start_plugin(spec, plugin, force_new=force_new, told=told)

    def successors_promote(self, key: str, *, name: str | None, request_id: str | None) -> Revision:
        assert request_id
        run = self._store.require_run(key)
        revision = self._store.get_revision(run.revision_id)
        assert revision is not None
        spec = ExperimentSpec(
            experiment=run.experiment,
            runner="cleanrl",
            script="ppo",
            env_id="CartPole-v1",
            hyperparameters=run.hyperparameters,
        )
        author = Authorship(None, request_id, revision.revision_id, name=name or "promoted", notes=f"from {run.name}")
        told: dict[str, Any] = {"flags": run.hyperparameters, "script": "ppo", "bundle": "b" * 64}
        return self._store.add_revision(spec, author=author, **told)

    def experiments_stop(self, name: str, *, now: bool) -> tuple[Experiment, Execution, list[Run]]:
        return self._steer(name, ExecutionState.STOPPED, Intent.STOP_NOW if now else Intent.STOP)

    def experiments_pause(self, name: str) -> tuple[Experiment, Execution, list[Run]]:
        return self._steer(name, ExecutionState.PAUSED, Intent.PAUSE)

    def experiments_resume(self, name: str) -> tuple[Experiment, Execution, list[Run]]:
        [execution] = self._store.list_executions(experiment=name, states=[ExecutionState.PAUSED])
        self._store.move_execution(execution.execution_id, ExecutionState.RUNNING)
        for run in self._store.list_runs(experiment=name, states=[RunState.PAUSED]):
            self.runs_resume(run.run_id)
        self._begin(self._finish, execution.execution_id)
        return self._standing(name)

    def _steer(self, name: str, state: ExecutionState, intent: Intent) -> tuple[Experiment, Execution, list[Run]]:
        execution = self._store.lineage(name).execution
        assert execution is not None
        self._store.move_execution(execution.execution_id, state)
        for run in self._store.list_runs(experiment=name, states=[RunState.STARTING, RunState.RUNNING]):
            with suppress(IllegalTransition):  # it has ended meanwhile
                self._store.request(run.run_id, intent)
        return self._standing(name)

    def _standing(self, name: str) -> tuple[Experiment, Execution, list[Run]]:
        experiment, lineage = self._store.get_experiment(name), self._store.lineage(name)
        assert experiment is not None
        assert lineage.execution is not None
        return experiment, lineage.execution, lineage.runs

    def _finish(self, execution_id: str) -> None:
        """End the execution when its runs have ended, unless somebody else has ended or paused it."""
        while not self._is_over.wait(0.02):
            execution = self._store.get_execution(execution_id)
            if execution is None or execution.state is not ExecutionState.RUNNING:
                return
            if all(run.state.is_final for run in self._store.list_runs(execution_id=execution_id)):
                self._store.move_execution(execution_id, self.execution_outcome, reason="played")
                return

    def runs_stop(self, key: str, *, now: bool) -> tuple[Run, str | None]:
        run = self._store.require_run(key)
        if run.state in (RunState.QUEUED, RunState.PAUSED):
            return self._store.move_run(run.run_id, RunState.STOPPED, reason="stopped by the user"), None
        run = self._store.request(run.run_id, Intent.STOP_NOW if now else Intent.STOP)
        return run, "steps 10 to 20" if now else None

    def runs_pause(self, key: str) -> Run:
        return self._store.request(self._store.require_run(key).run_id, Intent.PAUSE)

    def runs_resume(self, key: str) -> Run:
        run = self._store.move_run(self._store.require_run(key).run_id, RunState.QUEUED)
        self._play(run)
        return run

    def _play(self, run: Run) -> None:
        self._begin(self._train, run.run_id, run.global_step)

    def _begin(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args)
        thread.start()
        self._threads.append(thread)

    def _train(self, run_id: str, step: int) -> None:
        attempt = self._store.begin_attempt(run_id, node="node-a", resumed_from=None).number
        target = self.outcome
        while step < self.last_step:
            step += 100
            intent = progress(self._store, run_id, step=step, mean_return=20.0)
            if self._is_over.wait(0.02) or intent is not Intent.NONE:
                target = RunState.PAUSED if intent is Intent.PAUSE else RunState.STOPPED
                break
        if target is RunState.COMPLETED:
            self.before_completion(run_id)
        reason = f"played {target.value}"
        self._store.end_attempt(run_id, attempt=attempt, outcome=AttemptOutcome(target), reason=reason)
        self._store.move_run(run_id, target, attempt=attempt, reason=reason)

    def close(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()
