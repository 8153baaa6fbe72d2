from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from arena_ray.registry.submission import Authorship


def test_an_execution_begins_with_the_revision_of_its_file(bench: Any) -> None:
    execution, _ = bench.execute()
    base = bench.store.base_revision(execution.execution_id)
    assert execution.revision_id == base.revision_id
    assert bench.store.list_revisions(execution.experiment_id) == [base]


def test_an_execution_without_a_revision_gets_one(bench: Any) -> None:
    execution, _ = bench.execute()
    with sqlite3.connect(bench.path) as connection:
        connection.execute("UPDATE executions SET revision_id = NULL")
    connection.close()
    assert bench.store.base_revision(execution.execution_id).revision_id == execution.revision_id


def test_a_call_makes_one_revision(bench: Any) -> None:
    execution, _ = bench.execute()
    source = {"script": "ppo", "bundle": "bundle-1", "flags": {}}

    def add(call: str) -> Any:
        author = Authorship(execution.execution_id, call, parent_id=execution.revision_id, name=call, notes="n")
        return bench.store.add_revision(execution.spec, author=author, **source)

    first, again, second = add("revision 0"), add("revision 0"), add("revision 1")
    assert first == again != second
    assert (second.number, second.name, second.notes, second.parent_id) == (3, "revision 1", "n", execution.revision_id)


def test_notes_written_at_once_are_all_kept(bench: Any) -> None:
    execution, _ = bench.execute()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: bench.store.add_note(execution.experiment_id, f"note {number}"), range(24)))
    kept = bench.store.list_notes(execution.experiment_id)
    assert sorted(note.text for note in kept) == sorted(f"note {number}" for number in range(24))


def test_a_note_of_one_call_is_written_once(bench: Any) -> None:
    execution, _ = bench.execute()
    keys = {"execution_id": execution.execution_id, "call": "note 0"}
    first, is_new = bench.store.add_note(execution.experiment_id, "first", **keys)
    assert is_new
    assert bench.store.add_note(execution.experiment_id, "second", **keys) == (first, False)
    assert first.created_at == bench.clock()
    assert [note.text for note in bench.store.list_notes(execution.experiment_id)] == ["first"]
