"""What a plugin's function asks of the orchestrator, by way of its driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from pydantic import Field

from arena_ray.model.errors import ArenaError
from arena_ray.model.records import JournalEntry, Record, Run
from arena_ray.model.spec import FlagValue


def told(error: ArenaError) -> dict[str, str]:
    """Return *error* as it stands in a journal, and goes over the wire of a plugin's process."""
    return {"kind": type(error).__name__, "message": str(error)}


class Call(Record):
    """One call of a plugin's function. *number* is its place in the journal; None where none is kept."""

    number: int | None
    method: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class RevisionOrder(Record):
    """A revision that a plugin asks for; ``number`` counts those of its execution from 0."""

    number: int
    name: str
    notes: str = ""
    parent_id: str | None = None
    """The revision that the execution made before; None for the experiment's own."""
    hyperparameters: dict[str, FlagValue] = Field(default_factory=dict)
    flags: dict[str, FlagValue] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)
    is_deep: bool = True
    """Whether mappings within ``config`` are merged; else its top-level sections replace the former ones."""
    env_id: str | None = None


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
    revision_id: str | None = None


class PluginPort(Protocol):
    """The orchestrator as the functions of plugins see it. Every call may be repeated without harm.

    Calls with a driver's token raise :class:`StaleDriver` where another driver has claimed the experiment since.
    """

    def journal(self, execution_id: str) -> list[JournalEntry]:
        """Return what the execution's function has called so far, by place."""
        ...

    def carry_out(self, execution_id: str, call: Call, *, driver: str) -> JournalEntry:
        """Carry a call out, write it down, and return it with its answer."""
        ...

    def open_call(self, execution_id: str, call: Call, *, driver: str) -> JournalEntry:
        """Write down a call whose answer takes its time, and return it as it is kept."""
        ...

    def end_call(
        self, execution_id: str, number: int, *, driver: str, answer: Any = None, error: dict[str, str] | None = None
    ) -> None:
        """Write down what such a call is answered."""
        ...

    def list_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """Return these runs, in this order."""
        ...


class RayPlugins:
    """The same over Ray; *call* calls a method of the orchestrator."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def journal(self, execution_id: str) -> list[JournalEntry]:
        """See :class:`PluginPort`."""
        return cast("list[JournalEntry]", self._call("plugins.journal", execution_id))

    def carry_out(self, execution_id: str, call: Call, *, driver: str) -> JournalEntry:
        """See :class:`PluginPort`."""
        return cast("JournalEntry", self._call("plugins.carry_out", execution_id, call, driver=driver))

    def open_call(self, execution_id: str, call: Call, *, driver: str) -> JournalEntry:
        """See :class:`PluginPort`."""
        return cast("JournalEntry", self._call("plugins.open_call", execution_id, call, driver=driver))

    def end_call(
        self, execution_id: str, number: int, *, driver: str, answer: Any = None, error: dict[str, str] | None = None
    ) -> None:
        """See :class:`PluginPort`."""
        self._call("plugins.end_call", execution_id, number, driver=driver, answer=answer, error=error)

    def list_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """See :class:`PluginPort`."""
        return cast("list[Run]", self._call("plugins.list_runs", list(run_ids)))
