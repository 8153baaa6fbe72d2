"""Making a runner's own environment, with a stand-in for its interpreter."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import setup_kit
from setup_kit import RECIPE, make_python, make_repository

from arena_ray.model.errors import SetupFailed
from arena_ray.model.paths import Workspace
from arena_ray.runner.installation import Installation, get_installation
from arena_ray.runner.protocol import Recipe
from arena_ray.runner.setup import Setup


class Place:
    """A workspace, a repository and an interpreter."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root / "home")
        self.files = self.workspace.runner("family")
        self.repository = make_repository(root / "clone")
        self.python = make_python(root / "fake")
        self.home = root / "fake"
        self.steps: list[str] = []

    def set_up(self, recipe: Recipe = RECIPE, *, source: str | None = None, python: Path | None = None) -> Installation:
        self.steps.clear()
        return Setup(
            "family",
            recipe,
            files=self.files,
            python=python or self.python,
            source=source or str(self.repository),
            on_progress=self.steps.append,
        ).run(get_installation(self.workspace, "family"))

    def calls(self) -> list[str]:
        calls = self.home / "calls"
        found = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def names(steps: list[str]) -> list[str]:
    return [step.split(": ")[1] for step in steps]


ALL = ["repository", "venv", "pip install first==1.0", "pip install second==2.0 third==3.0", "trial"]


def test_each_step_is_told_and_the_packages_are_installed_in_their_order(place: Place) -> None:
    made = place.set_up()
    assert made.is_complete
    assert names(place.steps) == ALL
    assert place.steps[1] == "step 2 of 5: venv"
    venv, *pips, trial = place.calls()
    assert venv == f"-m venv {place.files.environment}"
    assert [call.partition(" install ")[2] for call in pips] == ["first==1.0", "second==2.0 third==3.0"]
    assert trial == f"{place.repository}/originals/learn.py --total-timesteps 3"
    assert get_installation(place.workspace, "family") == made
    assert list(made.script_files()) == ["upstream/learn"]


def test_what_is_complete_is_not_done_again(place: Place) -> None:
    made = place.set_up()
    place.calls()
    assert place.set_up() == made
    assert (place.steps, place.calls()) == ([], [])


def test_an_interrupted_setup_goes_on_where_it_was(place: Place) -> None:
    (place.home / "offline").touch()
    with pytest.raises(SetupFailed, match=r"pip failed: exit code 1, see .*setup\.log\nno network: first==1\.0"):
        place.set_up()
    found = get_installation(place.workspace, "family")
    assert found is not None
    assert (list(found.steps), found.is_complete) == (["repository", "venv"], False)
    assert found.script_files() == {}
    (place.home / "offline").unlink()
    assert place.set_up().is_complete
    assert names(place.steps) == ALL[2:]


KILLED = """
import sys
from pathlib import Path
from setup_kit import RECIPE
from arena_ray.model.paths import Workspace
from arena_ray.runner.setup import Setup
home, python, source = map(Path, sys.argv[1:])
Setup("family", RECIPE, files=Workspace(home).runner("family"), python=python, source=str(source)).run()
"""


def test_a_killed_setup_goes_on_with_the_step_that_it_was_at(place: Place) -> None:
    (place.home / "slow").touch()
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(place.workspace.home), str(place.python), str(place.repository)],
        env={**os.environ, "PYTHONPATH": str(Path(setup_kit.__file__).parent)},
    )
    while not (place.home / "calls").exists() or "first" not in (place.home / "calls").read_text():
        assert child.poll() is None
        time.sleep(0.01)
    child.kill()
    child.wait()
    (place.home / "slow").unlink()
    assert place.set_up().is_complete
    assert names(place.steps)[-2:] == ALL[-2:]
    assert "venv" not in names(place.steps)


@pytest.mark.parametrize(
    ("lost", "again"), [("environment", ALL[1:]), ("environment/packages", ALL[2:])], ids=["environment", "packages"]
)
def test_what_was_lost_since_is_made_again(place: Place, lost: str, again: list[str]) -> None:
    place.set_up()
    path = place.files.root / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert place.set_up().is_complete
    assert names(place.steps) == again


def test_another_recipe_or_interpreter_makes_anew_what_hangs_on_it(place: Place, tmp_path: Path) -> None:
    place.set_up()
    place.set_up(replace(RECIPE, packages=(("first==1.0",), ("second==2.1",))))
    assert names(place.steps) == ["pip install second==2.1", "trial"]
    place.set_up(python=make_python(tmp_path / "other"))
    assert names(place.steps) == ALL[1:]


def test_another_clone_is_tried_in_the_same_environment(place: Place, tmp_path: Path) -> None:
    place.set_up()
    made = place.set_up(source=str(make_repository(tmp_path / "mine")))
    assert names(place.steps) == ["repository", "trial"]
    assert made.repository == str(tmp_path / "mine")


def test_a_trial_that_goes_wrong_leaves_the_setup_incomplete(place: Place) -> None:
    (place.home / "trial").write_text("something else")
    with pytest.raises(SetupFailed, match="trial failed: learn printed no 'all is well'"):
        place.set_up()
    found = get_installation(place.workspace, "family")
    assert found is not None
    assert not found.is_complete


def test_a_url_is_cloned(place: Place) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x", "-C", str(place.repository)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], check=True)
    made = place.set_up(source=f"file://{place.repository}")
    assert Path(made.repository) == place.files.repository
    assert (
        Path(made.script_files()["upstream/learn"]).read_text() == (place.repository / "originals/learn.py").read_text()
    )


@pytest.mark.parametrize("source", ["/no/such/place", "--upload-pack=touch", "originals"])
def test_what_is_neither_a_directory_nor_a_url_is_refused(place: Place, source: str) -> None:
    with pytest.raises(SetupFailed, match="neither a directory nor a URL"):
        place.set_up(source=source)


def test_a_directory_without_scripts_is_refused(place: Place, tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match=r"there are no scripts in .*; name a clone with --from PATH"):
        place.set_up(source=str(tmp_path))


def test_two_do_not_work_at_once(place: Place) -> None:
    place.files.root.mkdir(parents=True)
    with place.files.log.open("a") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        with pytest.raises(SetupFailed, match="another one is at work"):
            place.set_up()
