"""One plugin execution: the plugin's function in a thread of its own, and what it asks for, carried out."""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from arena_ray.model.errors import ArenaError, RegistryError, StaleDriver
from arena_ray.model.records import Execution
from arena_ray.model.states import ExecutionState
from arena_ray.plugin.discovery import load_plugins
from arena_ray.plugin.registration import Plugin
from arena_ray.plugin.schema import check_settings
from arena_ray.plugin.study import Study, StudyResult
from arena_ray.scheduling.execution_port import ExecutionPort
from arena_ray.scheduling.in_place import MilestoneScheduler
from arena_ray.scheduling.milestones import Course
from arena_ray.scheduling.port import Port
from arena_ray.scheduling.study_runs import StudyRuns, Trials

log = logging.getLogger(__name__)


class ExecutionStopped(BaseException):
    """The user stopped the execution: leaves the plugin's function past its ``except Exception``."""


class PluginMistake(ArenaError, RuntimeError):
    """A plugin asked for something that cannot be."""


@dataclass
class Context:
    """Where a plugin is at work; see :class:`arena_ray.plugin.protocol.PluginContext`."""

    plugin_name: str
    execution_id: str
    experiment_id: str
    experiment: str
    settings: Mapping[str, Any]
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def should_stop(self) -> bool:
        """Whether the user wants this to end."""
        return self.stopping.is_set()


class _Api:
    """Hands a plugin's wishes over to the driver's thread and waits for what comes of them."""

    def __init__(self, *, stopping: threading.Event) -> None:
        self.asked: queue.SimpleQueue[Study] = queue.SimpleQueue()
        self.answers: queue.Queue[StudyResult | BaseException] = queue.Queue()
        self._stopping = stopping
        self._has_tuned = False

    def tune(self, **keys: Any) -> StudyResult:
        """See :class:`arena_ray.plugin.protocol.PluginApi`."""
        if self._has_tuned:
            raise PluginMistake("api.tune was called a second time; an execution has one study")
        self._has_tuned = True
        self.asked.put(Study(**keys))
        while True:
            try:
                answer = self.answers.get(timeout=0.2)
            except queue.Empty:
                if self._stopping.is_set():
                    raise ExecutionStopped from None
                continue
            if isinstance(answer, BaseException):
                raise answer
            return answer


class ExecutionDriver:
    """Runs one plugin execution to its end. :meth:`tick` is called by the experiment's driver, from its own thread.

    Args:
        execution: What is to be carried out.
        plugin: The plugin that it names.
        settings: As its function gets them.
        port: Plugin executions as the orchestrator keeps them.
        engine: Where the runs' trials are.
        driver: The driver's token.
    """

    def __init__(
        self,
        execution: Execution,
        plugin: Plugin,
        *,
        settings: Mapping[str, Any],
        port: ExecutionPort,
        engine: Trials,
        driver: str,
    ) -> None:
        self._execution = execution
        self._port = port
        self._engine = engine
        self._driver = driver
        self._context = Context(
            plugin_name=plugin.name,
            execution_id=execution.execution_id,
            experiment_id=execution.experiment_id,
            experiment=execution.experiment,
            settings=settings,
        )
        self._api = _Api(stopping=self._context.stopping)
        self._runs: StudyRuns | None = None
        self._failure: str | None = None
        self._thread = threading.Thread(
            target=self._work, args=(plugin.function,), name=f"plugin {plugin.name}", daemon=True
        )
        self._thread.start()

    def _work(self, function: Callable[..., Any]) -> None:
        try:
            function(self._context, self._api)
        except ExecutionStopped:
            pass
        except BaseException as exc:  # noqa: BLE001 - somebody else's code runs here, and may even exit
            log.warning("plugin %s failed:\n%s", self._context.plugin_name, traceback.format_exc())
            self._failure = f"{type(exc).__name__}: {exc}"

    @property
    def is_ready(self) -> bool:
        """Whether it is known how the execution's runs are to be driven."""
        return self._runs is not None

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
            self._end()
            return True
        try:
            if self._runs is None:
                self._open()
            if self._runs is not None and not is_paused and (result := self._runs.tick()) is not None:
                self._api.answers.put(result)
        except (StaleDriver, RegistryError):
            raise  # not the plugin's fault: another driver has taken over, or will try again
        except ArenaError as exc:
            self._api.answers.put(exc)
        return False

    def _open(self) -> None:
        try:
            study = self._api.asked.get_nowait()
        except queue.Empty:
            return
        self._runs = StudyRuns(
            study,
            self._execution,
            port=self._port,
            engine=self._engine,
            driver=self._driver,
            total_steps=self._port.total_steps(self._execution.execution_id),
        )

    def _end(self) -> None:
        state = ExecutionState.FAILED if self._failure else ExecutionState.COMPLETED
        self._port.end(self._execution.execution_id, driver=self._driver, state=state, reason=self._failure)

    def stop(self) -> None:
        """Let the plugin's function end: the user has stopped the execution."""
        self._context.stopping.set()


def open_execution(execution: Execution, port: Port, engine: Trials, driver: str) -> ExecutionDriver:
    """Start to drive the execution with the plugin of its name that is installed here.

    Raises:
        SpecError: There is none, or it does not take these settings any more.
    """
    plugin = load_plugins().require(execution.plugin)
    settings = check_settings(plugin.schema, execution.settings, place=f"plugin {plugin.name}")
    return ExecutionDriver(execution, plugin, settings=settings, port=port.executions, engine=engine, driver=driver)
