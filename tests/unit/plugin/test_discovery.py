"""Plugins are found by entry points: made-up distributions, installed by lying on sys.path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from arena_ray.model.errors import SpecError
from arena_ray.model.states import Scope
from arena_ray.plugin.discovery import BrokenPlugin
from arena_ray.testing.plugins import load_plugins

if TYPE_CHECKING:
    from conftest import Install

IMPORT = "from arena_ray.plugin import register_plugin\n"


def marked(name: str, *, function: str = "steer", scope: str = "experiment") -> str:
    mark = f"@register_plugin(name={name!r}, scope={scope!r}, description='steers')"
    return f"{IMPORT}\n{mark}\ndef {function}(context, api):\n    return {name!r}\n"


def broken_of(name: str) -> BrokenPlugin:
    [broken] = [each for each in load_plugins().broken if each.name == name]
    return broken


def test_an_entry_point_may_name_a_function(install: Install) -> None:
    root = install("speedy", value="speedy_mod:steer", speedy_mod=marked("speedy"))
    plugin = load_plugins().plugins["speedy"]
    assert plugin.function(None, None) == "speedy"
    assert plugin.origin == str(root / "speedy_mod.py")


def test_an_entry_point_may_name_a_module_with_several(install: Install) -> None:
    install("two", value="two_mod", two_mod=marked("one") + marked("other", function="also"))
    assert {"one", "other"} <= load_plugins().plugins.keys()


def test_an_entry_point_may_name_a_package_whose_plugin_modules_are_looked_into(install: Install) -> None:
    install(
        "pack",
        value="pack",
        pack__first_plugin=marked("first"),
        pack__second_plugin=marked("second"),
        pack__aside="raise RuntimeError('not to be imported')",
    )
    found = load_plugins()
    assert {"first", "second"} <= found.plugins.keys()
    assert found.broken == ()


def test_what_a_module_only_imports_is_not_its_own(install: Install) -> None:
    install("user", value="user_mod", user_mod="from arena_plugins.pbt_plugin import pbt\n" + marked("fine"))
    found = load_plugins()
    assert "fine" in found.plugins
    assert found.plugins["pbt"].origin.endswith("pbt_plugin.py")


def test_one_function_that_is_found_twice_is_one_plugin(install: Install) -> None:
    install("whole", value="same_mod", same_mod=marked("same") + "alias = steer\n")
    install("part", value="same_mod:steer")
    found = load_plugins()
    assert "same" in found.plugins
    assert found.broken == ()


@pytest.mark.parametrize(
    ("value", "source", "reason"),
    [
        ("bad_mod:steer", "raise RuntimeError('left unfinished')", "left unfinished"),
        ("bad_mod", "import sys; sys.exit(3)", "SystemExit: 3"),
        ("bad_mod", "def = 3", "SyntaxError"),
        ("bad_mod:steer", "x = 1", "has no attribute 'steer'"),
        ("bad_mod:steer", "def steer(context, api): ...", "bad_mod:steer is not marked with @register_plugin"),
        ("bad_mod:steer", "steer = 'text'", "bad_mod:steer is not marked with @register_plugin"),
        ("bad_mod", "x = 1", "no function of bad_mod is marked with @register_plugin"),
        ("bad_mod", marked("x", scope="universe"), "there is no scope 'universe'"),
    ],
)
def test_a_broken_plugin_is_reported_and_hurts_no_other(install: Install, value: str, source: str, reason: str) -> None:
    install("bad", value=value, bad_mod=source)
    install("good", value="good_mod", good_mod=marked("fine"))
    assert {"fine", "pbt"} <= load_plugins().plugins.keys()
    broken = broken_of("bad-point")
    assert reason in broken.reason
    assert broken.source == f"bad 1.0 ({value})"


def test_a_broken_module_hurts_no_other_of_its_package(install: Install) -> None:
    source = "x = 1\n1 / 0\n"
    install("pack", value="pack", pack__good_plugin=marked("good"), pack__bad_plugin=source, pack__no_plugin="")
    assert "good" in load_plugins().plugins
    broken = broken_of("bad_plugin")
    assert broken.source == "pack 1.0 (pack), module bad_plugin"
    for part in ("bad_plugin.py", "line 2", "ZeroDivisionError"):
        assert part in broken.reason
    assert broken_of("no_plugin").reason == "no function of pack.no_plugin is marked with @register_plugin"


def test_two_plugins_of_one_name_are_both_named_and_neither_is_used(install: Install) -> None:
    root = install("first", value="first_mod", first_mod=marked("twin"))
    install("second", value="second_mod", second_mod=marked("twin", function="other"))
    found = load_plugins()
    assert "twin" not in found.plugins
    assert "pbt" in found.plugins
    reason = broken_of("twin").reason
    assert f"{root / 'first_mod.py'} (steer)" in reason
    assert f"{root / 'second_mod.py'} (other)" in reason


def test_an_experiment_gets_the_plugin_that_it_names() -> None:
    assert load_plugins().require("pbt").name == "pbt"


def test_a_plugin_that_is_not_there_is_refused_with_the_nearest(install: Install) -> None:
    with pytest.raises(SpecError, match=r"^no plugin 'ptb'; did you mean 'pbt'\?$"):
        load_plugins().require("ptb")
    install("bad", value="bad_mod", bad_mod="1 / 0")
    with pytest.raises(SpecError, match="some cannot be used: see `arena plugins`"):
        load_plugins().require("mine")


def test_a_plugin_that_cannot_be_used_is_refused_with_its_reason(install: Install) -> None:
    install("first", value="first_mod", first_mod=marked("twin"))
    install("second", value="second_mod", second_mod=marked("twin"))
    with pytest.raises(SpecError, match=r"plugin 'twin' cannot be used: .*first_mod"):
        load_plugins().require("twin")


@pytest.mark.parametrize("scope", ["run", "revision"])
def test_a_plugin_is_refused_where_one_of_another_scope_is_named(install: Install, scope: str) -> None:
    install("narrow", value="narrow_mod", narrow_mod=marked("narrow", scope=scope))
    found = load_plugins()
    assert found.require("narrow", scope=Scope(scope)).scope == scope
    with pytest.raises(SpecError, match=f"has scope {scope}, not experiment; name it under the key '{scope}_plugins'"):
        found.require("narrow")


def test_the_plugins_that_are_shipped_come_in_by_the_same_door() -> None:
    shipped = load_plugins().plugins
    folder = Path(__file__).parents[3] / "plugins" / "arena_plugins"
    assert {name for name, each in shipped.items() if Path(each.origin).parent == folder} == {
        "pbt",
        "hyperparameter_sweeper",
        "auto_analyzer",
        "performance_monitor",
        "replay_schedule",
    }
