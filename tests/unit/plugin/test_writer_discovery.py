from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest

from arena_ray.plugin.writer_discovery import WriterSource, find_writers

if TYPE_CHECKING:
    from stats_kit import InstallWriter

THEIRS = "mlagents.stats_writer"


def named(name: str) -> list[WriterSource]:
    return [source for source in find_writers().sources if source.name == name]


@pytest.mark.parametrize("group", ["arena_ray.stats_writer", THEIRS])
def test_a_function_may_be_announced_in_either_group(install_writer: InstallWriter, group: str) -> None:
    install_writer("tables", "def make():\n    return ['made']\n", group=group)
    [source] = named("tables")
    assert (source.group, str(source)) == (group, "tables of tables 1.0")
    assert source.load()() == ["made"]


def test_a_function_that_is_announced_in_both_groups_is_found_once(install_writer: InstallWriter) -> None:
    install_writer("tables", "def make():\n    return []\n")
    install_writer("tables", group=THEIRS)
    assert len(named("tables")) == 1


def test_nothing_is_loaded_while_it_is_looked_for(install_writer: InstallWriter) -> None:
    install_writer("angry", "raise RuntimeError('too early')")
    [source] = named("angry")
    with pytest.raises(RuntimeError, match="too early"):
        source.load()


def test_what_ml_agents_writes_by_itself_is_left_out() -> None:
    point = EntryPoint("default", "mlagents.plugins.stats_writer:get_default_stats_writers", THEIRS)
    assert find_writers(lambda: [point]).sources == ()


def test_an_unknown_group_is_ignored_with_a_note(install_writer: InstallWriter) -> None:
    install_writer("trainers", group="mlagents.trainer_type")
    assert named("trainers") == []
    note = "trainers 1.0 is for mlagents.trainer_type, which is no interface here: ignored"
    assert note in find_writers().notes
