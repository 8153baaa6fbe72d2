"""The harness in the interpreters of other people's scripts, which have nothing of ours installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache, partial
from pathlib import Path

import pytest

import arena_ray.harness
from arena_ray.runner.process import GuardedProcess
from arena_ray.runner.warm_pool import WarmPool

HARNESS = Path(arena_ray.harness.__file__).parent
VERSIONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]
SCRIPT = """
import random, sys

class Learner:
    def __init__(self):
        self.random, self.weight = random.Random(1), 0.0
    def update(self):
        self.weight = 0.9 * self.weight + self.random.random()

def train():
    learner = Learner()
    for global_step in range(40):
        learner.update()
    print("final", learner.weight, "Python %d.%d" % sys.version_info[:2])

train()
"""


@cache
def python_of(version: str) -> str:
    """Return the interpreter of this version, or skip the test where the machine has none."""
    found = [shutil.which(f"python{version}"), *Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python3")]
    for candidate in filter(None, map(str, found)):
        asked = subprocess.run(
            [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.stdout.strip() == version:
            return candidate
    pytest.skip(f"there is no Python {version} on this machine")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_killed_script_goes_on_in_every_version(train, tmp_path: Path, version: str) -> None:
    begin = partial(train, SCRIPT, python=python_of(version))
    undisturbed, _ = begin().finish()
    killed = begin()
    killed.wait_for("boundary", held=True)
    killed.hold_at(23)
    killed.snapshot(tmp_path / "checkpoint")
    killed.kill()
    resumed = begin()
    assert resumed.restore(tmp_path / "checkpoint")["skipped"] == []
    assert resumed.finish()[0] == undisturbed
    assert undisturbed.endswith(f"Python {version}\n")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_forked_from_its_own_warm_pool(tmp_path: Path, version: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    pool = WarmPool(owner=os.getpid(), directory=tmp_path / "pool")
    command = [python_of(version), "-u", str(HARNESS), "--fd", "{fd}", "--attempt", "1", "--", str(script)]
    process = GuardedProcess.start(
        command,
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        stdout=tmp_path / "out",
        stderr=tmp_path / "err",
        starter=partial(pool.start, modules=()),
    )
    while (message := process.wire.receive(60.0)) is not None and message["type"] != "bye":
        if message.get("held"):
            process.wire.send("grant", until_step=None)
    how = process.wait(60.0)
    process.close()
    assert how is not None
    assert (how.exit_code, (tmp_path / "err").read_text()) == (0, "")
    assert (tmp_path / "out").read_text().endswith(f"Python {version}\n")
