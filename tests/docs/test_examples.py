"""Every command, experiment file and line of Python that the pages show is one that works."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import tomllib

import pytest
from docs.pages import ROOT, Example, all_pages

from arena_ray.cli.app import arena
from arena_ray.model.errors import ScriptNotFound
from arena_ray.model.paths import Workspace
from arena_ray.model.settings import load_settings
from arena_ray.model.spec import load_spec, parse_spec
from arena_ray.model.yaml_lines import parse_located
from arena_ray.runner import preflight
from arena_ray.runner.discovery import load_runners

RUNNERS = load_runners().runners
EXAMPLES = [example for page in all_pages() for example in page.examples()]
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def of(*languages: str) -> list:
    return [pytest.param(each, id=each.place) for each in EXAMPLES if each.language in languages]


def is_experiment(example: Example) -> bool:
    return example.language == "yaml" and "experiment:" in example.text


EXPERIMENTS = [pytest.param(each, id=each.place) for each in EXAMPLES if is_experiment(each)]
SHIPPED = sorted((ROOT / "cluster" / "examples").glob("*.yaml"))


def commands(text: str) -> list[list[str]]:
    """Return the words of each `arena` command in *text*, whatever stands before it on its line."""
    found = []
    for line in text.splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True) if re.search(r"\barena [a-z]", line) else []
        starts = [at for at, word in enumerate(words) if word == "arena" or word.endswith("/arena")]
        found += [words[at + 1 :] for at in starts[:1]]
    return found


COMMANDS = [
    pytest.param(words, id=f"{example.place}:{' '.join(words)}")
    for example in EXAMPLES
    if example.language in ("sh", "bash", "console", "")
    for words in commands(example.text)
]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_and_its_options_exist(words: list[str]) -> None:
    name, *arguments = words
    assert name in arena.commands
    command = arena.commands[name]
    command.make_context(name, list(arguments))  # raises where click would


def test_the_pages_show_commands_at_all() -> None:
    shown = {parameter.values[0][0] for parameter in COMMANDS}
    assert {"run", "runs", "show", "metrics", "stop", "pause", "resume", "up", "down"} <= shown


@pytest.mark.parametrize("example", EXPERIMENTS)
def test_an_experiment_file_is_right(example: Example) -> None:
    spec = parse_spec(parse_located(example.text, source=example.place))
    try:
        preflight.prepare(spec, base=ROOT, runners=RUNNERS)
    except ScriptNotFound:
        assert spec.script.endswith(".py"), "neither shipped nor a path"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_experiment_file_is_right_and_says_how_to_run_it(path) -> None:
    preflight.prepare(load_spec(path), base=path.parent, runners=RUNNERS)
    assert f"arena run {path.relative_to(ROOT).as_posix()}" in path.read_text(encoding="utf-8")


def test_the_script_that_a_page_shows_passes_preflight(tmp_path) -> None:
    [script] = [each for each in EXAMPLES if each.text.startswith("# my_script.py")]
    [file] = [each for each in EXAMPLES if is_experiment(each) and "script: ./my_script.py" in each.text]
    (tmp_path / "my_script.py").write_text(script.text, encoding="utf-8")
    spec = parse_spec(parse_located(file.text, source=file.place))
    submission = preflight.prepare(spec, base=tmp_path, runners=RUNNERS)
    assert submission.warnings == ()
    assert submission.flags.keys() == spec.hyperparameters.keys() | spec.flags.keys()


@pytest.mark.parametrize("example", of("toml"))
def test_a_settings_file_is_right(example: Example, tmp_path) -> None:
    content = tomllib.loads(example.text)
    if example.text.startswith("# arena.toml"):
        workspace = Workspace(tmp_path)
        workspace.settings.write_text(example.text, encoding="utf-8")
        settings, _ = load_settings(workspace, {})
        assert settings.model_dump().items() >= content.items()


@pytest.mark.parametrize("example", of("python"))
def test_python_compiles_and_what_it_imports_of_ours_exists(example: Example) -> None:
    for node in ast.walk(ast.parse(example.text, example.place)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("arena_"):
            module = importlib.import_module(str(node.module))
            assert [each.name for each in node.names if not hasattr(module, each.name)] == []


def test_each_make_target_that_is_named_exists() -> None:
    for page in all_pages():
        for text in [*re.findall(r"`(make[^`]*)`", page.prose), *(each.text for each in page.examples("sh"))]:
            for line in re.findall(r"^make ([a-z -]+)", text, re.MULTILINE):
                assert set(line.split()) <= TARGETS, f"{page}: make {line}"
