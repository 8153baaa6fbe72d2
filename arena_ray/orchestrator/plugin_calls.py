"""The calls of plugins' functions: carried out, and written down with their answers in the order in which they came.

A function that begins anew is given what stands in the journal. So each call happens once, whatever dies: what makes
something is named by its number within the execution and is not made twice, and what only looks is not repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from arena_ray.model.errors import PluginMistake
from arena_ray.model.records import Execution, JournalEntry, Run
from arena_ray.model.states import Scope
from arena_ray.orchestrator.answers import answer_of
from arena_ray.orchestrator.plugin_looks import PluginLooks
from arena_ray.orchestrator.plugin_orders import PluginOrders
from arena_ray.orchestrator.plugin_records import PluginRecords
from arena_ray.registry.door import utc_now
from arena_ray.scheduling.plugin_port import Call, NoteOrder, RevisionOrder, RunOrder

OF_WATCHERS = frozenset({"add_note", "stop_run"})
"""What a plugin with scope run may ask for, beside looking at things."""


class PluginCalls:
    """Carries out what plugins call. Thread-safe.

    *require* returns the execution of an id, for the token of the experiment's driver.
    """

    def __init__(
        self,
        *,
        store: PluginRecords,
        orders: PluginOrders,
        looks: PluginLooks,
        require: Callable[[str, str], Execution],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._orders = orders
        self._looks = looks
        self._require = require
        self._clock = clock

    def journal(self, execution_id: str) -> list[JournalEntry]:
        """Return what the execution's function has called so far, by place."""
        return self._store.list_plugin_calls(execution_id)

    def carry_out(self, execution_id: str, call: Call, *, driver: str) -> JournalEntry:
        """Carry a call out, write it down, and return it with its answer, or with what was raised.

        One that is repeated, because whoever asked has heard no answer, is answered as the journal has it.

        Raises:
            StaleDriver: Another driver has claimed the experiment since.
            RegistryError: The registry cannot be read or written now; the call may be repeated.
        """
        execution = self._require(execution_id, driver)
        begun = self._clock()
        answer, error = answer_of(
            lambda: self._handler(execution, call.method)(execution, call.arguments),
            call.method,
            plugin=execution.plugin,
        )
        entry = self._entry(call, begun, answer=answer, error=error, ended_at=self._clock())
        if call.number is None:
            return entry
        return self._store.add_plugin_call(execution_id, entry)

    def open_call(self, execution_id: str, call: Call, *, driver: str) -> JournalEntry:
        """Write down a call whose answer takes its time, and return it as it is kept.

        Raises:
            StaleDriver: Another driver has claimed the experiment since.
        """
        self._require(execution_id, driver)
        # Where the runs stand now is what a wait for steps counts from, also in a driver that takes over.
        steps = {run.run_id: run.global_step for run in self._store.list_runs(execution_id=execution_id)}
        entry = self._entry(call, self._clock(), answer=steps if call.method == "wait" else None)
        return self._store.add_plugin_call(execution_id, entry)

    def end_call(
        self, execution_id: str, number: int, *, driver: str, answer: Any = None, error: dict[str, str] | None = None
    ) -> None:
        """Write down what such a call is answered.

        Raises:
            StaleDriver: Another driver has claimed the experiment since.
        """
        self._require(execution_id, driver)
        self._store.end_plugin_call(execution_id, number, answer=answer, error=error)

    def list_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """Return these runs, in this order."""
        return [self._store.require_run(run_id) for run_id in run_ids]

    @staticmethod
    def _entry(call: Call, begun: datetime, **keys: Any) -> JournalEntry:
        return JournalEntry(
            number=call.number or 0, method=call.method, arguments=call.arguments, created_at=begun, **keys
        )

    def _handler(self, execution: Execution, method: str) -> Callable[[Execution, dict[str, Any]], Any]:
        orders: dict[str, Callable[[Execution, dict[str, Any]], Any]] = {
            "add_revision": self._add_revision,
            "start_run": self._start_run,
            "add_note": self._add_note,
            "stop_run": self._stop_run,
            "deploy": self._deploy,
        }
        if method in orders:
            if execution.scope is Scope.EXPERIMENT or method in OF_WATCHERS:
                return orders[method]
            raise PluginMistake(f"a plugin with scope {execution.scope} cannot ask for {method}")
        look = self._looks.find_look(method)
        return lambda execution, arguments: look(execution, **arguments)

    def _add_revision(self, execution: Execution, arguments: dict[str, Any]) -> dict[str, Any]:
        revision = self._orders.add_revision(execution, RevisionOrder.model_validate(arguments))
        return revision.model_dump(mode="json")

    def _start_run(self, execution: Execution, arguments: dict[str, Any]) -> dict[str, Any]:
        run = self._orders.start_run(execution, RunOrder.model_validate(arguments))
        return self._looks.handle_of(run)

    def _add_note(self, execution: Execution, arguments: dict[str, Any]) -> bool:
        is_new = self._orders.add_note(execution, NoteOrder.model_validate(arguments))
        if is_new or execution.scope is not Scope.EXPERIMENT:
            return is_new
        # By a call before this one; or by this one, whose entry in the journal was lost when something died.
        journal = self.journal(execution.execution_id)
        return all(each.arguments.get("call") != arguments["call"] for each in journal if each.method == "add_note")

    def _stop_run(self, execution: Execution, arguments: dict[str, Any]) -> None:
        self._orders.stop_run(execution, **arguments)

    def _deploy(self, execution: Execution, arguments: dict[str, Any]) -> int:
        return self._orders.deploy(execution, **arguments)
