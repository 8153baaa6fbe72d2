"""The api of a plugin's function: what it asks for goes to the driver, and on to the orchestrator.

Calls that make something are counted, and made known with their number: when the process of the plugin is started
anew its function begins from the top, and is given what it has made already.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from arena_ray.host.connection import Connection
from arena_ray.host.database import RegistryDatabase
from arena_ray.host.notes import Notes
from arena_ray.host.run import HostedRun
from arena_ray.model.records import Revision, Run
from arena_ray.model.spec import FlagValue
from arena_ray.plugin.protocol import PluginRun, PluginStopped, RunEnd
from arena_ray.plugin.study import Study, StudyResult, study_to_data

FIRST_LOOK_S = 0.1
LONGEST_LOOK_S = 1.0


class HostedApi:
    """See :class:`arena_ray.plugin.protocol.PluginApi`."""

    def __init__(self, connection: Connection, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._notes = Notes(connection)
        self._revisions = itertools.count()
        self._members = itertools.count()
        self._parent: str | None = None
        self.db = RegistryDatabase(connection)
        self.troubles: list[str] = []
        """What went wrong though the function may not have looked."""

    def create_revision_with_hyperparameters(
        self, name: str, hyperparameters: Mapping[str, FlagValue], *, notes: str = ""
    ) -> Revision:
        """Make a revision with other hyperparameters; the next runs are of it."""
        return self._add_revision(name, notes, hyperparameters=dict(hyperparameters))

    def create_revision_with_config_updates(
        self, name: str, config_updates: Mapping[str, Any], *, merge_strategy: str = "deep", notes: str = ""
    ) -> Revision:
        """Make a revision with another nested configuration; the next runs are of it."""
        if merge_strategy not in ("deep", "shallow"):
            raise ValueError(f"merge_strategy is 'deep' or 'shallow', not {merge_strategy!r}")
        return self._add_revision(name, notes, config=dict(config_updates), is_deep=merge_strategy == "deep")

    def _add_revision(self, name: str, notes: str, **changes: Any) -> Revision:
        keys = {"number": next(self._revisions), "name": name, "notes": notes, "parent_id": self._parent, **changes}
        revision = Revision.model_validate(self._connection.call_unless_stopped("add_revision", **keys))
        self._parent = revision.revision_id
        return revision

    def create_run(
        self, config: Mapping[str, FlagValue] | None = None, description: str = "", *, seed: int | None = None
    ) -> HostedRun:
        """Queue a run of the revision that this execution made last, or else of the experiment's own."""
        keys = {"member": next(self._members), "revision_id": self._parent, "flags": dict(config or {})}
        keys |= {"description": description, "seed": seed}
        record = Run.model_validate(self._connection.call_unless_stopped("start_run", **keys))
        return HostedRun(record, connection=self._connection, notes=self._notes)

    def wait_for_completion(
        self, runs: Sequence[PluginRun] | PluginRun, timeout_minutes: float | None = None
    ) -> dict[str, RunEnd]:
        """Wait until all of *runs* are over and return how each ended, by its id."""
        listed = list(runs) if isinstance(runs, Sequence) else [runs]
        deadline = None if timeout_minutes is None else self._clock() + timeout_minutes * 60.0
        pause_s = FIRST_LOOK_S
        while True:
            records = self._look([run.run_id for run in listed])
            late = [record for record in records if not record.state.is_final]
            if not late:
                break
            if deadline is not None and self._clock() >= deadline:
                self._tell_late(late, timeout_minutes or 0.0)
                break
            self._pause(pause_s)
            pause_s = min(LONGEST_LOOK_S, pause_s * 1.5)
        return {record.run_id: _end_of(record) for record in records}

    def _look(self, run_ids: list[str]) -> list[Run]:
        answer = self._connection.call_unless_stopped("runs", run_ids=run_ids)
        return [Run.model_validate(record) for record in answer]

    def _tell_late(self, late: list[Run], minutes: float) -> None:
        for record in late:
            text = f"gave up waiting for {record.name} after {minutes:g} min: it is {record.state.value}"
            self.troubles.append(text)
            self._notes.warn("gave up on", text, run_id=record.run_id)

    def wait(self, seconds: float = 0.0, *, minutes: float = 0.0) -> None:
        """Wait that long."""
        self._pause(seconds + minutes * 60.0)

    def _pause(self, seconds: float) -> None:
        if self._connection.stopping.wait(seconds):
            raise PluginStopped

    def add_note(self, message: str) -> None:
        """Write a note on the experiment; also after a stop."""
        self._notes.add(str(message))

    def tune(self, **keys: Any) -> StudyResult:
        """Train runs over a search space and return when all of them are over."""
        answer = self._connection.call_unless_stopped("tune", study=study_to_data(Study(**keys)))
        return StudyResult.model_validate(answer)


def _end_of(record: Run) -> RunEnd:
    ends: dict[str, RunEnd] = {"completed": "completed", "failed": "failed", "stopped": "stopped"}
    return ends.get(record.state.value, "timed_out")
