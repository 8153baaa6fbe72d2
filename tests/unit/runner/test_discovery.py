"""Runners are found by entry points: made-up distributions, installed by lying on sys.path."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from arena_ray.runner.discovery import load_runners

Install = Callable[..., None]

GOOD = """
from arena_runners.cleanrl import CleanRLRunner
class Mine(CleanRLRunner):
    name = "{name}"
    description = "mine"
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    monkeypatch.syspath_prepend(str(tmp_path))

    def install_distribution(distribution: str, *, name: str, value: str, **modules: str) -> None:
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[arena_ray.runners]\n{name} = {value}\n")
        for module, source in modules.items():
            (tmp_path / f"{module}.py").write_text(source)
            monkeypatch.delitem(sys.modules, module, raising=False)

    return install_distribution


def test_a_third_party_runner_is_found(install: Install) -> None:
    install("speedy", name="speedy", value="speedy_mod:Mine", speedy_mod=GOOD.format(name="speedy"))
    found = load_runners()
    assert found.runners["speedy"].description == "mine"
    assert "ppo" in found.runners["speedy"].scripts()


def test_a_runner_may_be_an_instance(install: Install) -> None:
    source = GOOD.format(name="made") + "made = Mine()\n"
    install("made", name="made", value="made_mod:made", made_mod=source)
    assert load_runners().runners["made"].name == "made"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('left unfinished')", "left unfinished"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("class Mine:\n    name = 'bad'\n", "it has no capabilities, command_flags, description"),
        (GOOD.format(name="other"), "its entry point is called 'bad', but it calls itself 'other'"),
        ("x = 1", "has no attribute 'Mine'"),
    ],
    ids=["raises", "exits", "incomplete", "misnamed", "absent"],
)
def test_a_broken_runner_is_reported_and_hurts_no_other(install: Install, source: str, reason: str) -> None:
    install("bad-dist", name="bad", value="bad_mod:Mine", bad_mod=source)
    install("good-dist", name="fine", value="fine_mod:Mine", fine_mod=GOOD.format(name="fine"))
    found = load_runners()
    assert "fine" in found.runners
    assert "bad" not in found.runners
    (broken,) = [one for one in found.broken if one.name == "bad"]
    assert reason in broken.reason
    assert broken.source == "bad-dist 1.0 (bad_mod:Mine)"


def test_the_traceback_of_a_broken_runner_shows_its_line(install: Install) -> None:
    install("bad-dist", name="bad", value="bad_mod:Mine", bad_mod="x = 1\n1 / 0\n")
    (broken,) = [one for one in load_runners().broken if one.name == "bad"]
    assert "bad_mod.py" in broken.reason
    assert "line 2" in broken.reason
    assert "ZeroDivisionError" in broken.reason


def test_two_runners_of_one_name_are_both_named_and_neither_is_used(install: Install) -> None:
    install("first", name="twin", value="first_mod:Mine", first_mod=GOOD.format(name="twin"))
    install("second", name="twin", value="second_mod:Mine", second_mod=GOOD.format(name="twin"))
    found = load_runners()
    assert "twin" not in found.runners
    (broken,) = [one for one in found.broken if one.name == "twin"]
    assert "first 1.0 (first_mod:Mine)" in broken.reason
    assert "second 1.0 (second_mod:Mine)" in broken.reason
