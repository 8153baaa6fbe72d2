from __future__ import annotations

import json
from typing import TYPE_CHECKING

from arena_ray.model.spec import ExperimentSpec
from arena_ray.registry.store import Store
from arena_ray.registry.submission import Authorship

if TYPE_CHECKING:
    from conftest import AddRun, Arena


SPEC = ExperimentSpec(experiment="demo", runner="cleanrl", script="ppo", env_id="CartPole-v1")


def tell(store: Store, add_run: AddRun) -> None:
    run = add_run()
    store.add_note(run.experiment_id, "✅ begun")
    store.add_note(run.experiment_id, "⚠️ no return", run_id=run.run_id)


def test_notes_are_printed_oldest_first(arena: Arena, store: Store, add_run: AddRun) -> None:
    tell(store, add_run)
    lines = arena("notes", "demo").stdout.splitlines()
    [run] = store.list_runs()
    assert [line.split("  ", 1)[1] for line in lines] == ["✅ begun", f"{run.name}: ⚠️ no return"]
    assert [note["text"] for note in json.loads(arena("notes", "demo", "--json").stdout)] == ["✅ begun", "⚠️ no return"]


def test_an_experiment_without_notes_says_so(arena: Arena, add_run: AddRun) -> None:
    add_run()
    assert arena("notes", "demo").stdout == "no note yet\n"


def test_revisions_are_listed_with_name_and_parent(arena: Arena, store: Store, add_run: AddRun) -> None:
    run = add_run()
    [base] = store.list_revisions(run.experiment_id)
    source = {"flags": {}, "script": "ppo", "bundle": "b" * 64}
    execution, _ = store.begin_execution(SPEC, plugin="mine", settings={}, digest="d", **source)
    author = Authorship(execution.execution_id, "revision 0", parent_id=base.revision_id, name="tuned", notes="a\nb")
    store.add_revision(SPEC.model_copy(update={"hyperparameters": {"gamma": 0.9}}), author=author, **source)
    *_, line = arena("revisions", "demo").stdout.splitlines()
    assert line.split() == ["2", "tuned", "1", "gamma", "0.9", "a"]
    assert json.loads(arena("revisions", "demo", "--json").stdout)[-1]["name"] == "tuned"


def test_an_experiment_that_is_not_there_is_an_error(arena: Arena, add_run: AddRun) -> None:
    add_run()
    for command in ("notes", "revisions"):
        shown = arena(command, "dmo")
        assert shown.exit_code == 1
        assert "no experiment 'dmo'; did you mean 'demo'?" in shown.stderr
