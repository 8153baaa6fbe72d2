"""What a plugin's function asks of the orchestrator, by way of its driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from pydantic import Field

from arena_ray.model.records import Note, Record, Revision, Run
from arena_ray.model.spec import FlagValue


class RevisionOrder(Record):
    """A revision that a plugin asks for; ``number`` counts those of its execution from 0."""

    number: int
    name: str
    notes: str = ""
    parent_id: str | None = None
    """The revision that the execution made before; None for the experiment's own."""
    hyperparameters: dict[str, FlagValue] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)
    is_deep: bool = True
    """Whether mappings within ``config`` are merged; else its top-level sections replace the former ones."""


class RunOrder(Record):
    """A run that a plugin asks for; ``member`` counts those of its execution from 0."""

    member: int
    revision_id: str | None = None
    """None for the experiment's own."""
    flags: dict[str, FlagValue] = Field(default_factory=dict)
    description: str = ""
    seed: int | None = Field(default=None, ge=0, lt=2**63)


class NoteOrder(Record):
    """A note that a plugin writes, or that we write of its runs; ``call`` names it within its execution."""

    call: str
    text: str
    run_id: str | None = None


class PluginPort(Protocol):
    """The orchestrator as the functions of plugins see it. Every call may be repeated without harm.

    Calls with a driver's token raise :class:`StaleDriver` where another driver has claimed the experiment since.
    """

    def add_revision(self, execution_id: str, order: RevisionOrder, *, driver: str) -> Revision:
        """Make the revision, unless it exists."""
        ...

    def start_run(self, execution_id: str, order: RunOrder, *, driver: str) -> Run:
        """Queue the run, unless it exists."""
        ...

    def add_note(self, execution_id: str, order: NoteOrder, *, driver: str) -> Note:
        """Write the note, unless it is written."""
        ...

    def list_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """Return these runs, in this order."""
        ...

    def find(self, experiment_id: str, kind: str) -> Sequence[Record]:
        """Return all ``experiments``, or the ``revisions`` or ``runs`` of this one, oldest first."""
        ...

    def log_tail(self, run_id: str, lines: int) -> list[str]:
        """Return the newest lines that a run's script has printed, oldest first."""
        ...


class RayPlugins:
    """The same over Ray; *call* calls a method of the orchestrator."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def add_revision(self, execution_id: str, order: RevisionOrder, *, driver: str) -> Revision:
        """See :class:`PluginPort`."""
        return cast("Revision", self._call("plugins.add_revision", execution_id, order, driver=driver))

    def start_run(self, execution_id: str, order: RunOrder, *, driver: str) -> Run:
        """See :class:`PluginPort`."""
        return cast("Run", self._call("plugins.start_run", execution_id, order, driver=driver))

    def add_note(self, execution_id: str, order: NoteOrder, *, driver: str) -> Note:
        """See :class:`PluginPort`."""
        return cast("Note", self._call("plugins.add_note", execution_id, order, driver=driver))

    def list_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """See :class:`PluginPort`."""
        return cast("list[Run]", self._call("plugins.list_runs", list(run_ids)))

    def find(self, experiment_id: str, kind: str) -> Sequence[Record]:
        """See :class:`PluginPort`."""
        return cast("list[Record]", self._call("plugins.find", experiment_id, kind))

    def log_tail(self, run_id: str, lines: int) -> list[str]:
        """See :class:`PluginPort`."""
        return cast("list[str]", self._call("plugins.log_tail", run_id, lines))
