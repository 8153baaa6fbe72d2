"""A plugin with scope run: it looks at the runs of its experiment while they train, and may stop or pause them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from arena_ray.model.errors import NoMainLoop, PluginMistake
from arena_ray.model.records import Execution
from arena_ray.model.states import ExecutionState
from arena_ray.scheduling.conversation import Host
from arena_ray.scheduling.looking import Looking, Verdict
from arena_ray.scheduling.plugin_port import Call
from arena_ray.scheduling.plugin_process import begin_with
from arena_ray.scheduling.port import Port

LOOK_TIMEOUT_S = 30.0
"""How long the function may look at one run."""

MOST_FAILURES = 3
"""So often in a row it may fail before nobody asks it any more; the runs go on."""

STOP_GRACE_S = 5.0

See = Callable[[str, Mapping[str, Any]], None]


class Watchable(Protocol):
    """Where the results of runs come by."""

    def watch(self, see: See) -> Callable[[], None]:
        """Call *see* with each result of each run, by its id; return what ends that."""
        ...


class Watch:
    """Shows a run plugin the newest result of each run, one after the other, and does what it says.

    Training never waits for it: a result that comes while the function is busy takes the place of the one before it.

    Args:
        execution: The invocation of the plugin.
        start: Starts a process for it.
        port: What the orchestrator keeps.
        engine: Where the runs' results come by.
        driver: The driver's token.
        directories: Folders into which plugins are dropped.
    """

    is_ready = True
    scheduler = None
    course = None

    def __init__(
        self,
        execution: Execution,
        start: Callable[[], Host],
        *,
        port: Port,
        engine: Watchable,
        driver: str,
        directories: Sequence[Path] = (),
        timeout_s: float = LOOK_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._execution = execution
        self._start = start
        self._port = port
        self._driver = driver
        self._directories = directories
        self._timeout_s = timeout_s
        self._clock = clock
        self._results: dict[str, Mapping[str, Any]] = {}
        self._shown: str = ""
        self._failures = 0
        self._end_by: float | None = None
        self._unwatch = engine.watch(self._see)
        self._looking = self._open()

    def _open(self) -> Looking:
        execution = self._execution
        begin = begin_with(
            execution.plugin,
            execution.scope,
            execution.settings,
            experiment_id=execution.experiment_id,
            experiment=execution.experiment,
            execution_id=execution.execution_id,
            directories=self._directories,
        )
        return Looking(
            self._start(), begin=begin, carry_out=self._carry_out, timeout_s=self._timeout_s, clock=self._clock
        )

    def _carry_out(self, call: Call) -> tuple[Any, dict[str, str] | None]:
        entry = self._port.plugins.carry_out(self._execution.execution_id, call, driver=self._driver)
        return entry.answer, entry.error

    def _see(self, run_id: str, result: Mapping[str, Any]) -> None:
        self._results[run_id] = result

    def tick(self, *, is_paused: bool) -> bool:
        """Take the verdict on the last run, and show the next one; return whether nobody is to be asked any more."""
        verdict = self._looking.poll()
        if verdict is not None and self._obey(verdict):
            return True
        if not is_paused and not self._looking.is_busy and self._results:
            if not self._looking.is_alive:
                self._looking = self._open()
            self._show()
        return False

    def _show(self) -> None:
        run_id = self._shown = next(iter(self._results))
        result = self._results.pop(run_id)
        names = ("name", "attempt", "global_step", "episodic_return", "steps_per_second")
        metadata = {name: result[name] for name in names}
        occasion = f"{run_id}@{result['attempt']}.{result['global_step']}."
        context = {"target_id": run_id, "generation": result["generation"], "metadata": metadata}
        self._looking.show(context, occasion=occasion)

    def _obey(self, verdict: Verdict) -> bool:
        """Do what the function says of the run; return whether it has failed for good."""
        if verdict.failure is not None:
            return self._count_failure(verdict.failure)
        try:
            word, why = verdict.on_run()
        except PluginMistake as exc:
            return self._count_failure(str(exc))
        self._failures = 0
        reason = f"by plugin {self._execution.plugin}" + (f": {why}" if why else "")
        if word == "stop":
            self._port.executions.stop_run(self._shown, driver=self._driver, reason=f"stopped {reason}")
        elif word == "pause":
            try:
                self._port.executions.pause_run(self._shown, driver=self._driver, reason=f"paused {reason}")
            except NoMainLoop as exc:
                self._note(f"cannot pause {self._shown}", f"it was to be paused {reason}, but {exc}")
        return False

    def _count_failure(self, why: str) -> bool:
        self._failures += 1
        self._note(
            f"failed at {self._shown}: {why}"[:200],
            f"plugin {self._execution.plugin} could not look at this run: {why}",
        )
        if self._failures < MOST_FAILURES:
            return False
        self._unwatch()
        self._looking.kill()
        self._port.executions.end(
            self._execution.execution_id,
            driver=self._driver,
            state=ExecutionState.FAILED,
            reason=f"it failed {self._failures} times in a row, at last so: {why}",
        )
        return True

    def _note(self, call: str, text: str) -> None:
        arguments = {"call": call, "text": f"⚠️ {text}", "run_id": self._shown}
        self._carry_out(Call(number=None, method="add_note", arguments=arguments))

    def stop(self) -> None:
        """Let the function end."""
        if self._end_by is None:
            self._end_by = self._clock() + STOP_GRACE_S
            self._unwatch()
            self._looking.stop()

    def is_gone(self) -> bool:
        """Whether the process has ended; one that is in the middle of something may end that."""
        if self._looking.poll() is not None or not self._looking.is_busy or self._clock() >= (self._end_by or 0.0):
            self._looking.kill()
        return not self._looking.is_alive

    def close(self) -> None:
        """End the process at once."""
        self._unwatch()
        self._looking.kill()
