from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from arena_ray.cli.new_plugin import require_new_name, write_plugin
from arena_ray.model.errors import SpecError
from arena_ray.model.paths import Workspace
from arena_ray.model.states import Scope
from arena_ray.plugin.drop_in import drop_ins
from arena_ray.plugin.registration import plugin_of
from arena_ray.testing import load_plugin

if TYPE_CHECKING:
    from conftest import Arena


def test_a_new_plugin_is_written_listed_and_not_overwritten(arena: Arena, workspace: Workspace) -> None:
    made = arena("plugins", "new", "try_rates", "--scope", "experiment")
    assert made.exit_code == 0
    assert sorted(path.name for path in workspace.plugins.iterdir()) == [
        "test_try_rates_plugin.py",
        "try_rates_plugin.py",
    ]
    assert f"pytest {workspace.plugins / 'test_try_rates_plugin.py'}" in made.stdout
    assert "arena plugins run try_rates --spec FILE" in made.stdout
    assert "plugin_path" not in made.stdout
    (workspace.plugins / "try_rates_plugin.py").write_text("# mine\n")
    again = arena("plugins", "new", "try_rates", "--scope", "run")
    assert again.exit_code == 1
    assert "is there already, and stays as it is" in again.stderr
    assert (workspace.plugins / "try_rates_plugin.py").read_text() == "# mine\n"


def test_a_folder_of_its_own_is_made_and_has_to_be_told_of(arena: Arena, workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "my" / "plugins"
    made = arena("plugins", "new", "limits", "--scope", "revision", "--dir", str(folder))
    assert f"add {folder} to the setting plugin_path" in made.stdout
    assert "revision_plugins: [{name: limits}]" in made.stdout
    told = json.loads(arena("plugins", "new", "other", "--scope", "run", "--dir", str(folder), "--json").stdout)
    assert told == {"plugin": str(folder / "other_plugin.py"), "test": str(folder / "test_other_plugin.py")}


def test_the_name_of_another_plugin_is_refused(arena: Arena, workspace: Workspace) -> None:
    refused = arena("plugins", "new", "pbt", "--scope", "run")
    assert refused.exit_code == 1
    assert "there is a plugin named 'pbt' already, from" in refused.stderr
    assert not workspace.plugins.exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Rates", "small letters"),
        ("two rates", "small letters"),
        ("../rates", "small letters"),
        ("2rates", "begins with a letter"),
        ("lambda", "no word of Python's"),
        ("a" * 41, "40 at most"),
        ("test_rates", "leave that out"),
        ("rates_plugin", "name it 'rates'"),
    ],
)
def test_a_bad_name_is_refused_with_what_a_good_one_is(name: str, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        require_new_name(name, taken={})


@pytest.mark.parametrize("scope", Scope)
def test_what_is_written_is_a_plugin_of_the_scope_beside_a_test(scope: Scope, tmp_path: Path) -> None:
    plugin, test = write_plugin("fresh", scope, tmp_path)
    marked = plugin_of(load_plugin(plugin))
    assert marked
    assert (marked.name, marked.scope) == ("fresh", scope)
    assert list(drop_ins([tmp_path])) == [plugin]
    ast.parse(test.read_text(encoding="utf-8"))


def test_nothing_is_written_where_only_the_test_is_there(tmp_path: Path) -> None:
    (tmp_path / "test_fresh_plugin.py").touch()
    with pytest.raises(SpecError, match=r"test_fresh_plugin\.py is there already"):
        write_plugin("fresh", Scope.RUN, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["test_fresh_plugin.py"]
