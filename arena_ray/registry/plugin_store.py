"""The part of the store that knows what plugins do: revisions with a name, notes, and the journal of their calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arena_ray.model.records import JournalEntry, Note, Revision
from arena_ray.model.spec import ExperimentSpec, FlagValue
from arena_ray.registry import executions, journal, notes, queries
from arena_ray.registry.door import Door
from arena_ray.registry.submission import Authorship, Submission, ensure_experiment, ensure_revision


class PluginStore(Door):
    """Revisions by plugins, notes and journals, as one part of :class:`arena_ray.registry.store.Store`."""

    def add_revision(
        self, spec: ExperimentSpec, *, flags: Mapping[str, FlagValue], script: str, bundle: str, author: Authorship
    ) -> Revision:
        """Return the revision that a call makes, made now unless the call is a repeated one.

        Args:
            spec: The configuration.
            flags: All that the script is given, hyperparameters included.
            script: The script's name or path, as the runner resolved it.
            bundle: Digest of the script's files.
            author: The call, and what it says of the revision.
        """
        submission = Submission(spec, flags=flags, script=script, bundle=bundle)
        with self._database.write() as connection:
            now, new_id = self._clock(), self._new_id
            experiment_id = ensure_experiment(connection, spec, now=now, new_id=new_id)
            revision_id = ensure_revision(
                connection, submission, experiment_id=experiment_id, now=now, new_id=new_id, author=author
            )
            return queries.load_revision(connection, revision_id)

    def base_revision(self, execution_id: str) -> Revision:
        """Return the revision that the execution began with: what its experiment file says.

        Raises:
            NotFound: There is no such execution.
        """
        with self._database.write() as connection:
            execution = queries.load_execution(connection, execution_id)
            if execution.revision_id is not None:
                return queries.load_revision(connection, execution.revision_id)
            source = executions.load_source(connection, execution_id)
            submission = Submission(execution.spec, flags=source.flags, script=source.script, bundle=source.bundle)
            revision_id = ensure_revision(  # an older version began it without one
                connection,
                submission,
                experiment_id=execution.experiment_id,
                now=self._clock(),
                new_id=self._new_id,
            )
            return queries.load_revision(connection, revision_id)

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
        """Write a note down, and return it, and whether it was not there yet.

        Args:
            experiment_id: What it is about.
            text: Any text.
            run_id: The run that it is about, where it is about one.
            revision_id: The revision that it is about, where it is about one.
            execution_id: The plugin execution that writes it.
            call: Which of the notes of that execution it is, given with it: each is written once.
        """
        note = notes.NewNote(
            experiment_id, text, run_id=run_id, revision_id=revision_id, execution_id=execution_id, call=call
        )
        with self._database.write() as connection:
            return notes.add_note(connection, note, now=self._clock(), new_id=self._new_id)

    def list_notes(self, experiment_id: str) -> list[Note]:
        """Return the notes on an experiment, its runs and its revisions, oldest first."""
        with self._database.read() as connection:
            return notes.list_notes(connection, experiment_id)

    def add_plugin_call(self, execution_id: str, entry: JournalEntry) -> JournalEntry:
        """Write a call down, and return what the journal has of it.

        One that repeats the call before it, answer and all, is counted with that one. What has its place in the journal
        already stays as it is.
        """
        with self._database.write() as connection:
            return journal.add_entry(connection, execution_id, entry)

    def end_plugin_call(self, execution_id: str, number: int, *, answer: Any, error: dict[str, str] | None) -> None:
        """Write down what the call at this place was answered that was waiting; one that is answered stays."""
        with self._database.write() as connection:
            journal.end_entry(connection, execution_id, number, answer=answer, error=error, now=self._clock())

    def list_plugin_calls(self, execution_id: str) -> list[JournalEntry]:
        """Return the journal of an execution, by place."""
        with self._database.read() as connection:
            return journal.list_entries(connection, execution_id)
