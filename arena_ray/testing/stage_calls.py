"""What carries out the calls of a plugin on a stage: the code that does it on a cluster, over what the stage keeps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from threading import RLock
from typing import Any

from arena_ray.model.errors import PluginMistake
from arena_ray.model.records import ProposedRevision
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import Scope
from arena_ray.orchestrator.answers import answer_of
from arena_ray.orchestrator.gate import Asker
from arena_ray.orchestrator.plugin_calls import PluginCalls
from arena_ray.orchestrator.plugin_looks import PluginLooks
from arena_ray.orchestrator.plugin_orders import PluginOrders
from arena_ray.orchestrator.revisions import Revisions
from arena_ray.plugin.registration import Plugin
from arena_ray.scheduling.plugin_port import Call
from arena_ray.testing.stage_reader import StageReader
from arena_ray.testing.stage_records import StageRecords

CarryOut = Callable[[Call], tuple[Any, dict[str, str] | None]]
"""Returns the answer to a call, or what was raised."""


class _OpenGate:
    """Lets every revision pass."""

    def require(self, spec: ExperimentSpec, revision: ProposedRevision) -> None:
        return


def require_scope(plugin: Plugin, scope: Scope, call: str) -> None:
    """Refuse a call of the stage that is not for the scope of the plugin.

    Raises:
        PluginMistake: It is for another one.
    """
    if plugin.scope is not scope:
        proper = {Scope.EXPERIMENT: "run", Scope.RUN: "look", Scope.REVISION: "propose"}[plugin.scope]
        raise PluginMistake(
            f"{call}() is for plugins with scope {scope}; {plugin.name} has scope {plugin.scope}: call {proper}()"
        )


def _looks_at(records: StageRecords) -> PluginLooks:
    return PluginLooks(records, heard=records, reader=StageReader(records))


def calls_on(records: StageRecords) -> PluginCalls:
    """Return what carries out the calls of the execution."""
    orders = PluginOrders(
        store=records,
        locks=defaultdict(RLock),
        revisions=Revisions(
            store=records,
            bundles=records.script,
            runners={records.execution.spec.runner: records.script},
            gate=_OpenGate(),
        ),
        stop=records.stop_run,
        deploy=records.deploy,
    )
    return PluginCalls(
        store=records,
        orders=orders,
        looks=_looks_at(records),
        require=lambda execution_id, driver: records.execution,
        clock=records.clock.utc,
    )


def answers_to_watcher(records: StageRecords) -> CarryOut:
    """Return what answers a plugin with scope run."""
    calls = calls_on(records)

    def carry_out(call: Call) -> tuple[Any, dict[str, str] | None]:
        entry = calls.carry_out(records.execution.execution_id, call, driver="")
        return entry.answer, entry.error

    return carry_out


def answers_to_gatekeeper(records: StageRecords) -> CarryOut:
    """Return what answers a plugin with scope revision: no execution is kept of it."""
    looks = _looks_at(records)
    asker = Asker(records.experiment.experiment_id, records.experiment.name, records.execution.plugin)

    def carry_out(call: Call) -> tuple[Any, dict[str, str] | None]:
        return answer_of(
            lambda: looks.find_look(call.method)(asker, **call.arguments), call.method, plugin=asker.plugin
        )

    return carry_out
