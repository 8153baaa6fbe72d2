"""The gate before revisions: plugins with scope revision look at what is proposed, and may refuse it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena_ray.model.errors import RevisionRefused
from arena_ray.model.records import ProposedRevision
from arena_ray.model.spec import ExperimentSpec, PluginCall
from arena_ray.model.states import Scope
from arena_ray.orchestrator.answers import answer_of
from arena_ray.orchestrator.plugin_looks import PluginLooks
from arena_ray.plugin.catalog import Plugins
from arena_ray.plugin.drop_in import fingerprint
from arena_ray.registry.store import Store
from arena_ray.scheduling.conversation import Host
from arena_ray.scheduling.looking import Looking
from arena_ray.scheduling.plugin_port import Call
from arena_ray.scheduling.plugin_process import begin_with

LOOK_TIMEOUT_S = 20.0
"""How long a plugin may look at a revision. A process that has just been started loads the plugin in that time too."""

IDLE_S = 60.0
"""After so long without a revision the process of a plugin is ended."""


@dataclass(frozen=True)
class Asker:
    """What is known of a plugin that looks at a revision: no execution is kept of that."""

    experiment_id: str
    experiment: str
    plugin: str
    execution_id: None = None


@dataclass
class _Keeper:
    """A plugin's process, kept from one revision to the next."""

    looking: Looking
    asker: Asker
    used_at: float


class Gate:
    """Asks the plugins. Thread-safe; one revision after the other is looked at.

    Args:
        plugins: Where they are looked up.
        store: Where it is seen whether an experiment exists already.
        looks: Answers what they ask.
        start: Starts a process, whose output goes into a file of this name.
        directories: Folders into which plugins are dropped.
        timeout_s: How long one may look.
    """

    def __init__(
        self,
        plugins: Plugins,
        *,
        store: Store,
        looks: PluginLooks,
        start: Callable[[str], Host],
        directories: Sequence[Path] = (),
        timeout_s: float = LOOK_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plugins = plugins
        self._store = store
        self._looks = looks
        self._start = start
        self._directories = directories
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, ...], _Keeper] = {}

    def require(self, spec: ExperimentSpec, revision: ProposedRevision) -> None:
        """Let every plugin look that *spec* names, or that is on by default.

        Raises:
            RevisionRefused: One of them refuses the revision, or could not look at it.
        """
        reasons: list[str] = []
        with self._lock:
            for call in self._calls(spec):
                reasons += [f"{call.name}: {reason}" for reason in self._ask(call, spec, revision)]
        if reasons:
            raise RevisionRefused(reasons)

    def _calls(self, spec: ExperimentSpec) -> list[PluginCall]:
        named = {call.name for call in spec.revision_plugins}
        always = [
            PluginCall(name=each.name)
            for each in self._plugins.describe()
            if each.scope is Scope.REVISION and each.enabled_by_default and not each.problem and each.name not in named
        ]
        return [*spec.revision_plugins, *always]

    def _ask(self, call: PluginCall, spec: ExperimentSpec, revision: ProposedRevision) -> list[str]:
        known = self._store.get_experiment(spec.experiment)
        asker = Asker(known.experiment_id if known else "", spec.experiment, call.name)
        files = fingerprint(self._directories)
        key = (call.name, json.dumps(call.settings, sort_keys=True), asker.experiment, asker.experiment_id, files)
        kept = self._kept.get(key)
        if kept is None or not kept.looking.is_alive:
            kept = self._kept[key] = self._open(call, asker)
        kept.used_at = self._clock()
        context = {"target_id": revision.digest(), "metadata": revision.model_dump(mode="json")}
        kept.looking.show(context, occasion="")
        verdict = kept.looking.wait()
        if verdict.failure is not None:
            return [f"it could not look at the revision: {verdict.failure}"]
        return list(verdict.said)

    def _open(self, call: PluginCall, asker: Asker) -> _Keeper:
        begin = begin_with(
            call.name,
            Scope.REVISION,
            call.settings,
            experiment_id=asker.experiment_id,
            experiment=asker.experiment,
            directories=self._directories,
        )

        def carry_out(asked: Call) -> tuple[Any, dict[str, str] | None]:
            return answer_of(
                lambda: self._looks.find_look(asked.method)(asker, **asked.arguments), asked.method, plugin=call.name
            )

        host = self._start(f"revisions-{call.name}")
        looking = Looking(host, begin=begin, carry_out=carry_out, timeout_s=self._timeout_s, clock=self._clock)
        return _Keeper(looking, asker, self._clock())

    def close_idle(self, *, idle_s: float = IDLE_S) -> None:
        """End the processes that nobody has needed for a while."""
        with self._lock:
            for key, kept in list(self._kept.items()):
                if self._clock() - kept.used_at >= idle_s:
                    kept.looking.kill()
                    del self._kept[key]
