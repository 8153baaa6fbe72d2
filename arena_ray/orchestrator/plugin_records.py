"""What the registry keeps of and for the functions of plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from arena_ray.model.records import Execution, Experiment, JournalEntry, Note, Revision, Run
from arena_ray.model.spec import ExperimentSpec, FlagValue
from arena_ray.model.states import RunState
from arena_ray.registry.submission import Authorship


class PluginRecords(Protocol):
    """The part of :class:`arena_ray.registry.store.Store` that the calls of plugins need."""

    def get_experiment(self, name_or_id: str, /) -> Experiment | None:
        """Return the experiment of this name, or else of this id."""
        ...

    def list_experiments(self) -> list[Experiment]:
        """Return all experiments, newest first."""
        ...

    def get_execution(self, execution_id: str, /) -> Execution | None:
        """Return the execution of this id."""
        ...

    def base_revision(self, execution_id: str, /) -> Revision:
        """Return the revision that the execution began with."""
        ...

    def get_revision(self, revision_id: str, /) -> Revision | None:
        """Return the revision of this id."""
        ...

    def list_revisions(self, experiment_id: str, /) -> list[Revision]:
        """Return an experiment's revisions, by number."""
        ...

    def add_revision(
        self, spec: ExperimentSpec, *, flags: Mapping[str, FlagValue], script: str, bundle: str, author: Authorship
    ) -> Revision:
        """Return the revision that a plugin's call makes, made now unless the call is a repeated one."""
        ...

    def require_run(self, key: str, /) -> Run:
        """Return the run of this id or name.

        Raises:
            NotFound: There is none.
        """
        ...

    def list_runs(self, *, experiment: str | None = None, execution_id: str | None = None) -> list[Run]:
        """Return runs, oldest first: of one experiment or execution."""
        ...

    def submit(
        self,
        spec: ExperimentSpec,
        *,
        flags: Mapping[str, FlagValue],
        script: str,
        bundle: str,
        execution_id: str | None = None,
        member: int | None = None,
        revision_id: str | None = None,
        description: str | None = None,
    ) -> tuple[Run, bool]:
        """Return the run of *spec*, and whether it was made now."""
        ...

    def move_run(self, run_id: str, target: RunState, *, reason: str | None = None) -> Run:
        """Move the run to *target*, with the reason for it.

        Raises:
            IllegalTransition: The table of moves does not have this one.
        """
        ...

    def add_note(
        self,
        experiment_id: str,
        text: str,
        *,
        run_id: str | None = None,
        revision_id: str | None = None,
        execution_id: str | None = None,
        call: str | None = None,
    ) -> tuple[Note, bool]:
        """Write a note down; return it, and whether it was not there yet. Each *call* of an execution writes one."""
        ...

    def list_notes(self, experiment_id: str, /) -> list[Note]:
        """Return the notes on an experiment, its runs and its revisions, oldest first."""
        ...

    def add_plugin_call(self, execution_id: str, entry: JournalEntry, /) -> JournalEntry:
        """Write a call down, and return what the journal has of it. What has its place there already stays as it is."""
        ...

    def end_plugin_call(self, execution_id: str, number: int, /, *, answer: Any, error: dict[str, str] | None) -> None:
        """Write down what the call at this place was answered that was waiting."""
        ...

    def list_plugin_calls(self, execution_id: str, /) -> list[JournalEntry]:
        """Return the journal of an execution, by place."""
        ...
