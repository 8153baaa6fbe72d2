"""The tables of docs/reference say what the code says, all of it and nothing else."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from docs.pages import ROOT, code, codes, page, table
from pydantic import BaseModel

from arena_ray.harness import checkpoint, large_arrays
from arena_ray.model import errors
from arena_ray.model.dimensions import KINDS
from arena_ray.model.errors import ArenaError, rebuild_error
from arena_ray.model.events import (
    AttemptStarted,
    CheckpointSaved,
    EpisodeSummary,
    Event,
    LogLine,
    TookOver,
    TrainingStep,
)
from arena_ray.model.paths import CheckpointFiles, RunFiles, Workspace
from arena_ray.model.settings import Settings
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import (
    ALLOWED_MOVES,
    AttemptOutcome,
    ExecutionState,
    ExploitCause,
    ExploitOutcome,
    Intent,
    RunState,
)
from arena_ray.runner.outbox import STREAMS
from arena_ray.telemetry.archive import encode_event

ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, ArenaError) and kind.__module__ == errors.__name__
}
SAMPLES: list[Event] = [
    AttemptStarted(0, 0, 0.0),
    TrainingStep(0, 0, {"tag": 0.0}, 0.0),
    EpisodeSummary(0, 0, 0.0, 0.0, 0.0),
    LogLine("stdout", "text", 0.0),
    TookOver(0, 0, 1, "run", 0.0),
]


def test_settings() -> None:
    told = [[*map(code, row[:3]), row[3]] for row in table(page("reference/settings.md").text)]
    assert told == [
        [name, f"ARENA_{name.upper()}", json.dumps(info.default), info.description]
        for name, info in Settings.model_fields.items()
    ]


def keys_of(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """Return the default of each key as the page spells it."""
    found: dict[str, str] = {}
    for name, info in model.model_fields.items():
        kinds = [kind for kind in (info.annotation, *get_args(info.annotation)) if isinstance(kind, type)]
        section = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)
        if section is not None:
            found |= keys_of(section, f"{prefix}{name}.")
        elif info.is_required():
            found[prefix + name] = "needed"
        else:
            found[prefix + name] = f"`{json.dumps(info.get_default(call_default_factory=True))}`"
    return found


def test_keys_of_the_experiment_file() -> None:
    head = page("reference/experiment-file.md").text.partition("\n## ")[0]
    told = {code(key): default for key, _, default, _ in table(head)}
    assert told == keys_of(ExperimentSpec)


def test_kinds_of_dimensions_of_a_search_space() -> None:
    told = table(page("reference/experiment-file.md").section("Search spaces").partition("###")[0])
    assert [code(row[0]) for row in told] == list(KINDS)
    for kind, written, _ in told:
        assert code(written).startswith(f"{{{code(kind)}: [")


def test_errors_and_what_they_are() -> None:
    rows = table(page("reference/errors.md").text)
    assert {code(row[0]) for row in rows} == ERRORS.keys()
    for name, base, _, _ in rows:
        assert code(base) in {kind.__name__ for kind in inspect.getmro(ERRORS[code(name)])}


def test_the_tree_of_errors_is_drawn_as_in_the_code() -> None:
    def drawn(text: str) -> list[str]:
        return re.findall(r"^(?:    )?([│├└─ ]*[A-Z]\w+)", text, re.MULTILINE)

    [tree] = page("reference/errors.md").examples("text")
    assert errors.__doc__
    in_code = [line for line in drawn(errors.__doc__) if line.lstrip("│├└─ ") in ERRORS]
    assert drawn(tree.text) == in_code
    assert len(in_code) == len(ERRORS)


def test_each_error_has_its_http_status(gateway) -> None:
    for name, _, status, _ in table(page("reference/errors.md").text):
        gateway.error = rebuild_error(ERRORS[code(name)], "message", {})
        reply = gateway.client.post("/runs/x/pause")
        assert (reply.status_code, reply.json()["error"]["type"]) == (int(status), code(name))


def test_states_moves_intents_and_outcomes() -> None:
    states = page("reference/states.md")
    head = states.text.partition("\n## ")[0]
    assert [code(row[0]) for row in table(head)] == list(RunState)
    moves = {code(start): set(codes(targets)) for start, targets in table(states.section("Moves"))}
    assert moves == {state.value: set(targets) for state, targets in ALLOWED_MOVES.items()}
    assert {code(row[0]) for row in table(states.section("Intents"))} == set(Intent)
    assert {code(row[0]) for row in table(states.section("Outcomes of an attempt"))} == set(AttemptOutcome)


def test_states_of_executions_and_what_becomes_of_exploits() -> None:
    from arena_ray.registry import exploits

    states = page("reference/states.md")
    assert [code(row[0]) for row in table(states.section("Executions"))] == list(ExecutionState)
    outcomes, _, causes = states.section("Exploits").partition("\n| cause ")
    moves = {code(start): set(codes(targets)) for start, _, targets in table(outcomes)}
    assert moves == {outcome: exploits.ALLOWED_MOVES[outcome] for outcome in ExploitOutcome}
    assert {code(row[0]) for row in table(f"| cause {causes}")} == set(ExploitCause)


def test_archived_events_and_their_keys() -> None:
    assert {type(sample) for sample in SAMPLES} | {CheckpointSaved} == set(get_args(Event))
    events = page("reference/events.md")
    common = {code(row[0]) for row in table(events.text)}
    told = {
        code(title): set(codes(events.section(title).partition(".")[0].partition(":")[2].split(": where")[0]))
        for title in events.titles(3)
    }
    for sample in SAMPLES:
        row = encode_event(sample, seq=0, attempt=1)
        assert row.keys() >= common
        keys = {each.name for each in fields(sample)} - common
        assert keys <= told[row["type"]] <= keys | {"episodic_return"}
    assert told.keys() == {encode_event(sample, seq=0, attempt=1)["type"] for sample in SAMPLES}


def test_keys_of_the_export(tmp_path: Path) -> None:
    from arena_ray.registry import export

    told = set(codes(page("reference/events.md").section("`runs.jsonl`").partition("**")[0])) - {"runs.jsonl"}
    [line] = [node for name, node in vars(export).items() if name == "_line"]
    assert told == set(re.findall(r'^        "(\w+)":', inspect.getsource(line), re.MULTILINE))


def properties(owner: object) -> set[Path]:
    found = {name for name, kind in vars(type(owner)).items() if isinstance(kind, property)}
    return {path for name in found if isinstance(path := getattr(owner, name), Path)}


def test_every_file_of_a_workspace() -> None:
    home = Path()
    run = RunFiles(Workspace(home).training, "<run>")
    expected = properties(Workspace(home)) | properties(run)
    expected |= {run.attempt(1), *(run.output(1, stream) for stream in STREAMS)}
    expected.add(Workspace(home).reports("<experiment>").parent)
    expected -= {Workspace(home).training, Workspace(home).settings}
    names = {path.as_posix().replace("attempt-1", "attempt-<n>") for path in expected}
    told = {code(row[0]) for row in table(page("reference/files.md").text)}
    files = properties(CheckpointFiles(Path()))
    assert told == names | {path.as_posix() for path in files}
    assert f"`{Workspace(home).settings}`" in page("reference/files.md").text


def test_the_harness_writes_the_files_that_the_page_names() -> None:
    files = CheckpointFiles(Path())
    assert {checkpoint.POLICY, checkpoint.POLICY_NOTE, checkpoint.MANIFEST} == {
        path.name for path in properties(files) - {files.resume}
    }
    for name in (checkpoint.STATE, checkpoint.META, large_arrays.ARRAYS, large_arrays.CHUNKS):
        assert f"`{Path(name).name}`" in page("reference/files.md").text


def test_routes_and_their_queries(gateway) -> None:
    schema = gateway.client.get("/openapi.json").json()
    http = page("reference/http.md")
    routes = {
        f"{method.upper()} {path.removeprefix('/api/v1')}": operation
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    }
    told = [code(title) for title in http.titles(3)]
    assert sorted(told) == sorted(routes)
    for route, operation in routes.items():
        section = http.section(f"`{route}`")
        named = {each["name"].lower() for each in operation.get("parameters", []) if each["in"] != "path"}
        assert named <= {text.lower() for text in codes(section)}, route
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        name = body.get("$ref", "").rpartition("/")[2]
        keys = schema["components"]["schemas"][name]["properties"].keys() if name else set()
        assert keys <= set(codes(section)), route


@pytest.mark.parametrize("path", ["/api/v1/openapi.json", "/docs", "/redoc"])
def test_only_the_schema_is_told_without_the_token(gateway, path: str) -> None:
    assert f"`{path}`" in page("reference/http.md").text
    url = str(gateway.client.base_url).partition("/api/")[0] + path
    assert gateway.client.get(url, headers={"Authorization": ""}).status_code == 200
    assert gateway.client.get("/runs", headers={"Authorization": ""}).status_code == 401


def test_the_words_of_the_architecture_are_the_rooms() -> None:
    rooms = {path.name for path in (ROOT / "arena_ray").iterdir() if path.is_dir() and path.name != "__pycache__"}
    told = table(page("architecture.md").section("Rooms and imports"))
    assert {room for row in told for room in codes(row[0])} == rooms


def test_every_module_that_the_architecture_names_exists() -> None:
    named = re.findall(r"`([a-z_]+/[a-z_]+\.py)`", page("architecture.md").text)
    assert named
    assert [name for name in named if not (ROOT / "arena_ray" / name).is_file()] == []
