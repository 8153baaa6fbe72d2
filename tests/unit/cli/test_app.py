"""What holds for all commands: errors, exit codes, what is imported, how long it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from arena_ray.cli.app import ArenaGroup
from arena_ray.cli.app import arena as arena_command
from arena_ray.model.errors import SpecError
from arena_ray.model.paths import Workspace
from arena_ray.model.states import RunState
from arena_ray.orchestrator.api import GatewayAddress

if TYPE_CHECKING:
    from conftest import AddRun, Arena

ArenaProcess = Callable[..., "subprocess.Popen[str]"]

IMPORT_PROBE = """
import atexit, sys
from arena_ray.cli import main
atexit.register(lambda: print(sorted(m for m in {heavy} if m in sys.modules), file=sys.stderr))
sys.argv = ["arena", *{words}]
main()
"""


def imported(*words: str, heavy: tuple[str, ...]) -> str:
    code = IMPORT_PROBE.format(heavy=heavy, words=words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1]


def walk(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, *path, name)


def test_help_imports_nothing_heavy(workspace: Workspace) -> None:
    heavy = ("ray", "torch", "httpx", "sqlalchemy", "rich", "fastapi", "pydantic")
    assert imported("--help", heavy=heavy) == "[]"


def test_runs_from_the_registry_import_neither_ray_nor_torch_nor_httpx(add_run: AddRun) -> None:
    add_run()
    assert imported("runs", "--json", heavy=("ray", "torch", "httpx", "rich", "fastapi")) == "[]"


def test_runs_from_the_gateway_import_neither_ray_nor_torch_nor_sqlalchemy(gateway: GatewayAddress) -> None:
    assert imported("runs", "--json", heavy=("ray", "torch", "sqlalchemy", "fastapi")) == "[]"


def test_importing_the_package_imports_none_of_it() -> None:
    code = "import sys, arena_ray; print([m for m in sys.modules if m.startswith('arena_ray.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_can_be_had() -> None:
    import arena_ray

    assert arena_ray.__all__ == sorted(arena_ray.__all__)
    assert len(arena_ray.__all__) <= 30
    for name in arena_ray.__all__:
        assert getattr(arena_ray, name) is not None
    assert set(arena_ray.__all__) <= set(dir(arena_ray))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = arena_ray.nothing


def test_every_command_has_the_options_of_all_and_help_in_sentences() -> None:
    for path, command in walk(arena_command):
        assert command.help, path
        assert command.help.split("\n")[0].endswith("."), path
        if path:
            assert {"--json", "--debug"} <= {option for each in command.params for option in each.opts}, path
        for option in command.params:
            if isinstance(option, click.Option):
                assert (option.help or "").endswith("."), (path, option.name)


def test_python_m_arena_ray_is_arena(arena_process: ArenaProcess) -> None:
    process = arena_process("--version")
    output, _ = process.communicate(timeout=60)
    assert output.startswith("arena_ray ")


def test_an_error_is_one_line_and_exit_code_1(arena: Arena, workspace: Workspace) -> None:
    result = arena("show", "nothing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: no run 'nothing'")
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback(arena: Arena, workspace: Workspace) -> None:
    result = arena("show", "nothing", "--debug")
    assert "Traceback" in result.stderr
    assert "NotFound" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: no run 'nothing'")


def test_an_error_of_several_lines_keeps_them(arena: Arena, workspace: Workspace) -> None:
    bad = workspace.home / "bad.yaml"
    bad.write_text("experiment: x\nrunnr: cleanrl\nseed: -1\n")
    result = arena("run", bad)
    lines = result.stderr.splitlines()
    assert result.exit_code == 1
    assert lines[0].startswith("error: ")
    assert len(lines) > 2
    assert any(":2: 'runnr' is not a key here; did you mean 'runner'?" in line for line in lines)


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (KeyError("spam"), 1, "error: KeyError: 'spam' (unexpected; --debug shows where)\n"),
        (SpecError("line 1\nline 2"), 1, "error: line 1\nline 2\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_whatever_a_command_raises_leaves_it_as_text_and_exit_code(
    error: BaseException, exit_code: int, said: str
) -> None:
    @click.group(cls=ArenaGroup)
    def group() -> None:
        """Hold one command."""

    @group.command()
    def fail() -> None:
        """Fail."""
        raise error

    result = CliRunner().invoke(group, ["fail"])
    assert (result.exit_code, result.stderr) == (exit_code, said)


@pytest.mark.parametrize("words", [("nonsense",), ("runs", "--nonsense"), ("show",), ("runs", "--state", "dancing")])
def test_wrong_usage_is_exit_code_2(arena: Arena, workspace: Workspace, words: tuple[str, ...]) -> None:
    assert arena(*words).exit_code == 2


def test_a_reader_that_goes_away_is_no_error(add_run: AddRun, arena_process: ArenaProcess) -> None:
    for seed in range(3):
        add_run(seed=seed)
    process = arena_process("runs")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


def test_json_is_printed_alone_even_where_there_are_notes(arena: Arena, add_run: AddRun) -> None:
    result = arena("logs", add_run(state=RunState.RUNNING).name, "-f", "--json")
    assert json.loads(result.stdout) == []
    assert "note: " in result.stderr
