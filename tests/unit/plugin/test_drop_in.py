"""Files dropped into folders."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings
from arena_ray.plugin.drop_in import load_drop_in, plugin_directories
from arena_ray.testing.plugins import load_plugins

MINE = """
from .core import register_plugin

@register_plugin(name="{name}", scope="experiment", description="mine")
def work(context, api):
    return "{answer}"
"""


def drop(folder: Path, file: str, *, name: str = "mine", answer: str = "first") -> Path:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(MINE.format(name=name, answer=answer))
    return path


def test_a_file_is_a_plugin_while_it_is_there(tmp_path: Path) -> None:
    path = drop(tmp_path, "mine_plugin.py")
    plugin = load_plugins([tmp_path]).require("mine")
    assert (plugin.origin, plugin.function(None, None)) == (str(path), "first")
    path.unlink()
    assert "mine" not in load_plugins([tmp_path]).plugins


def test_a_changed_file_is_read_anew_however_soon(tmp_path: Path) -> None:
    for answer in ("first", "secnd"):  # as long as each other, and within one second
        drop(tmp_path, "mine_plugin.py", answer=answer)
        assert load_plugins([tmp_path]).require("mine").function(None, None) == answer
    assert not (tmp_path / "__pycache__").exists()


def test_only_files_of_the_folder_itself_with_the_right_name_count(tmp_path: Path) -> None:
    drop(tmp_path, "mine.py")
    drop(tmp_path, "below/mine_plugin.py")
    (tmp_path / "folder_plugin.py").mkdir()
    assert "mine" not in load_plugins([tmp_path, tmp_path / "missing"]).plugins


def test_broken_files_are_listed_and_hurt_no_other(tmp_path: Path) -> None:
    drop(tmp_path, "mine_plugin.py")
    (tmp_path / "import_plugin.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "exit_plugin.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "empty_plugin.py").write_text("")
    loaded = load_plugins([tmp_path])
    reasons = {each.name: each.reason for each in loaded.broken}
    assert "mine" in loaded.plugins
    assert "No module named 'nothing_of_this_name'" in reasons["import_plugin"]
    assert str(tmp_path / "import_plugin.py") in reasons["import_plugin"]
    assert "SystemExit: 3" in reasons["exit_plugin"]
    assert "is marked with @register_plugin" in reasons["empty_plugin"]


def test_a_name_that_two_files_claim_is_given_to_neither(tmp_path: Path) -> None:
    first, second = drop(tmp_path, "a/mine_plugin.py"), drop(tmp_path, "b/mine_plugin.py")
    loaded = load_plugins([first.parent, second.parent])
    assert "mine" not in loaded.plugins
    [contested] = [each for each in loaded.broken if each.name == "mine"]
    assert str(first) in contested.reason
    assert str(second) in contested.reason


def test_a_file_that_claims_the_name_of_a_shipped_plugin_is_told_of(tmp_path: Path) -> None:
    drop(tmp_path, "pbt_plugin.py", name="pbt")
    [contested] = [each for each in load_plugins([tmp_path]).broken if each.name == "pbt"]
    assert "arena_plugins" in contested.reason


def test_a_file_may_use_the_files_beside_it_and_has_a_name_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "numbers.py").write_text("ANSWER = 42\n")
    (tmp_path / "mine_plugin.py").write_text("from .numbers import ANSWER\nfrom .core import Pbt\n")
    module = load_drop_in(tmp_path / "mine_plugin.py")
    assert module.ANSWER == 42
    assert sys.modules[module.__name__] is module
    assert "numbers" in sys.modules  # the standard library's, not the file's
    assert not hasattr(sys.modules["numbers"], "ANSWER")


def test_the_folders_are_the_workspace_s_and_those_of_the_setting(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    settings = Settings(plugin_path=f"{tmp_path / 'one'}::{tmp_path / 'two'}:{tmp_path / 'one'}")
    assert plugin_directories(workspace, settings) == [tmp_path / "plugins", tmp_path / "one", tmp_path / "two"]
    assert plugin_directories(workspace, settings.model_copy(update={"local_plugins": False})) == []


@pytest.mark.parametrize("text", ["def broken(:\n", "\x00"])
def test_a_file_that_is_no_python_is_broken(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd_plugin.py").write_text(text)
    assert [each.name for each in load_plugins([tmp_path]).broken] == ["odd_plugin"]
