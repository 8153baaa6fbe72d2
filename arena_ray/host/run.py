"""A run as the plugin that started it sees it."""

from __future__ import annotations

import math
from typing import Any

from arena_ray.host.connection import Connection
from arena_ray.host.notes import Notes
from arena_ray.model.records import Run
from arena_ray.model.states import RunState

AT_WORK = frozenset({RunState.STARTING, RunState.RUNNING})


class HostedRun:
    """See :class:`arena_ray.plugin.protocol.PluginRun`."""

    def __init__(self, record: Run, *, connection: Connection, notes: Notes) -> None:
        self._connection = connection
        self._notes = notes
        self._has_noted = False
        self.run_id = record.run_id
        self.name = record.name
        self.revision_id = record.revision_id

    def __repr__(self) -> str:
        return f"<run {self.name}>"

    def _record(self) -> Run:
        [record] = self._connection.call("runs", run_ids=[self.run_id])
        return Run.model_validate(record)

    def get_status(self) -> str:
        """Return its state."""
        return self._record().state.value

    def is_running(self) -> bool:
        """Whether a process of it is at work."""
        return self._record().state in AT_WORK

    def is_completed(self) -> bool:
        """Whether it has come to its end, and well."""
        return self._record().state is RunState.COMPLETED

    def get_reward(self) -> float:
        """Return the mean return of its last 20 episodes; NaN, and a note, where no episode has ended."""
        reward = self._record().episodic_return
        if math.isnan(reward) and not self._has_noted:
            self._has_noted = True
            self._notes.warn(
                "no return of", f"{self.name} has no return: no episode has ended in it", run_id=self.run_id
            )
        return reward

    def get_logs(self, last_lines: int = 100) -> list[str]:
        """Return the newest lines that its script has printed, oldest first."""
        answer: list[Any] = self._connection.call("log_tail", run_id=self.run_id, lines=last_lines)
        return [str(line) for line in answer]
