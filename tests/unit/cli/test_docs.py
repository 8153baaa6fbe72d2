"""docs/reference/cli.md names every command and option, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from arena_ray.cli.app import arena

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
SECTIONS = dict(
    re.findall(r"^### `arena ([a-z-]+(?: [a-z-]+)*)[^\n]*\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
)
COMMON = {"--json", "--debug"}
COMMANDS = {
    f"{name} {sub}".strip(): command
    for name, top in arena.commands.items()
    for sub, command in {"": top, **(top.commands if isinstance(top, click.Group) else {})}.items()
}


def options_of(command: click.Command) -> set[str]:
    return {name for option in command.params if isinstance(option, click.Option) for name in option.opts}


def test_the_page_has_a_section_for_each_command_and_for_no_other() -> None:
    assert SECTIONS.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_names_each_option_of_its_command_and_no_other(name: str) -> None:
    in_table = {
        option
        for row in re.findall(r"^\| (`-.*?`) \|", SECTIONS[name], re.MULTILINE)
        for option in re.findall(r"`(--?[\w-]+)", row)
    }
    assert in_table == options_of(COMMANDS[name]) - COMMON


@pytest.mark.parametrize("name", COMMANDS)
def test_a_heading_names_the_arguments_of_its_command(name: str) -> None:
    arguments = [each for each in COMMANDS[name].params if isinstance(each, click.Argument)]
    words = ["arena", name, *(each.metavar or each.human_readable_name for each in arguments)]
    assert f"### `{' '.join(words)}`" in PAGE


@pytest.mark.parametrize("option", [*sorted(COMMON), "--help", "--version"])
def test_what_all_commands_take_is_said_once(option: str) -> None:
    assert f"`{option}`" in PAGE or f"`arena {option}`" in PAGE
