"""One plugin execution: the plugin's function in a process of its own, and what it asks for, carried out."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from arena_ray.model.errors import ArenaError, RegistryError, StaleDriver
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Execution
from arena_ray.model.states import ExecutionState, Scope
from arena_ray.runner.wire import Message
from arena_ray.scheduling.conversation import Conversation, Host
from arena_ray.scheduling.execution_port import ExecutionPort
from arena_ray.scheduling.in_place import MilestoneScheduler
from arena_ray.scheduling.journal import Journal
from arena_ray.scheduling.milestones import Course
from arena_ray.scheduling.plugin_process import begin_with, start_host
from arena_ray.scheduling.port import Port
from arena_ray.scheduling.study_runs import StudyRuns, Trials
from arena_ray.scheduling.watch import Watch, Watchable

STOP_GRACE_S = 10.0
"""How long the function of a stopped execution may go on before its process is ended."""

CLOSE_TIMEOUT_S = 10.0

MOST_DEATHS = 10
"""So often a plugin's process may be killed within an hour without a call in between; then its execution has failed."""

REMEMBERED_DEATH_S = 3600.0


class ExecutionDriver:
    """Runs one plugin execution to its end. :meth:`tick` is called by the experiment's driver, from its own thread.

    A process of the plugin that is killed is replaced by another one, which is told what has been called so far.

    Args:
        execution: What is to be carried out.
        start: Starts a process for the plugin that it names.
        port: What the orchestrator keeps.
        engine: Where the runs' trials are.
        driver: The driver's token.
        directories: Folders into which plugins are dropped.
    """

    def __init__(
        self,
        execution: Execution,
        start: Callable[[], Host],
        *,
        port: Port,
        engine: Trials,
        driver: str,
        directories: Sequence[Path] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._execution = execution
        self._start = start
        self._port: ExecutionPort = port.executions
        self._plugins = port.plugins
        self._engine = engine
        self._driver = driver
        self._directories = directories
        self._clock = clock
        self._runs: StudyRuns | None = None
        self._last_words: Message | None = None
        self._failure: Exception | None = None
        self._end_by: float | None = None
        self._deaths: list[tuple[int, float]] = []
        self._begin()

    def _begin(self) -> None:
        execution = self._execution
        journal = Journal(self._plugins.journal(execution.execution_id))
        self._host = self._start()
        self._conversation = Conversation(self._host, execution, self._plugins, self._driver, journal)
        begin = begin_with(
            execution.plugin,
            execution.scope,
            execution.settings,
            experiment_id=execution.experiment_id,
            experiment=execution.experiment,
            execution_id=execution.execution_id,
            target_id=execution.experiment_id,
            directories=self._directories,
        )
        self._host.wire.send("begin", has_journal=bool(journal), **begin)
        name = f"plugin {execution.plugin}"
        self._thread = threading.Thread(target=self._converse, args=(self._conversation,), name=name, daemon=True)
        self._thread.start()

    def _converse(self, conversation: Conversation) -> None:
        try:
            self._last_words = conversation.hold()
        except Exception as exc:  # noqa: BLE001 - raised again by tick, in the driver's own thread
            self._failure = exc
        finally:
            self._host.end(grace_s=0.5)

    @property
    def is_ready(self) -> bool:
        """Whether it is known how the execution's runs are to be driven."""
        return self._runs is not None or self._conversation.has_runs

    @property
    def scheduler(self) -> MilestoneScheduler | None:
        """What decides over the runs; None where nothing does."""
        return self._runs.scheduler if self._runs else None

    @property
    def course(self) -> Course | None:
        """Where the runs hold; None where they do not."""
        return self._runs.course if self._runs else None

    def tick(self, *, is_paused: bool) -> bool:
        """Go on as far as possible without waiting; return whether the execution is over."""
        if not self._thread.is_alive():
            if self._may_begin_anew():
                self._begin()
                return False
            self._end()
            return True
        try:
            self._open()
            result = None if self._runs is None or is_paused else self._runs.tick()
            if result is not None and self._conversation.awaits_study:
                self._conversation.answer_study(result)
        except (StaleDriver, RegistryError):
            raise  # not the plugin's fault: another driver has taken over, or will try again
        except ArenaError as exc:
            if self._conversation.awaits_study:
                self._conversation.answer_study(exc)
        return False

    def _open(self) -> None:
        try:
            study = self._conversation.studies.get_nowait()
        except queue.Empty:
            return
        self._runs = self._runs or StudyRuns(  # the one that a process asked for which is gone goes on
            study,
            self._execution,
            port=self._port,
            engine=self._engine,
            driver=self._driver,
            total_steps=self._port.total_steps(self._execution.execution_id),
        )

    def _may_begin_anew(self) -> bool:
        """Return whether the plugin's process was killed, and not at the same call again and again."""
        was_killed = self._failure is None and (self._last_words or {}).get("outcome") == "killed"
        if not was_killed or self._end_by is not None:
            return False
        reached = len(self._plugins.journal(self._execution.execution_id))
        now = self._clock()
        alike = [death for death in self._deaths if death[0] == reached and now - death[1] < REMEMBERED_DEATH_S]
        self._deaths = [*alike, (reached, now)]
        return len(self._deaths) < MOST_DEATHS

    def _end(self) -> None:
        if self._failure is not None:
            raise self._failure
        words = self._last_words or {}
        troubles = [*self._conversation.troubles, *self._failed_runs()]
        state, reason = ExecutionState.COMPLETED, "; ".join(troubles) or None
        if words.get("outcome") in ("failed", "killed"):
            state, reason = ExecutionState.FAILED, str(words.get("reason"))
        elif words.get("outcome") == "stopped":
            state, reason = ExecutionState.STOPPED, "stopped by the user"
        self._port.end(self._execution.execution_id, driver=self._driver, state=state, reason=reason)

    def _failed_runs(self) -> list[str]:
        runs = self._port.record(self._execution.execution_id).runs
        failed = [run.name for run in runs if run.state.value == "failed"]
        return [f"{len(failed)} of {len(runs)} runs failed: {', '.join(failed)}"] if failed else []

    def stop(self) -> None:
        """Let the plugin's function end: the user has stopped the execution."""
        if self._end_by is None:
            self._end_by = self._clock() + STOP_GRACE_S
            self._host.wire.send("stop")

    def is_gone(self) -> bool:
        """Whether the process of a stopped execution has ended; one that takes too long is ended here."""
        if self._thread.is_alive() and self._end_by is not None and self._clock() >= self._end_by:
            self._host.kill()
        return not self._thread.is_alive()

    def close(self) -> None:
        """End the plugin's process at once."""
        self._host.kill()
        self._thread.join(CLOSE_TIMEOUT_S)


class Engine(Trials, Watchable, Protocol):
    """Where the runs of both scopes are."""


def open_execution(
    execution: Execution, port: Port, engine: Engine, driver: str, *, workspace: Workspace, directories: Sequence[Path]
) -> ExecutionDriver | Watch:
    """Start to drive the execution with the plugin of its name.

    Raises:
        OSError: Its process could not be started.
    """
    start = partial(start_host, execution.execution_id, workspace=workspace)
    if execution.scope is Scope.RUN:
        return Watch(execution, start, port=port, engine=engine, driver=driver, directories=directories)
    return ExecutionDriver(execution, start, port=port, engine=engine, driver=driver, directories=directories)
