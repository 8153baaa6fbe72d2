"""A made-up repository of original scripts, and a stand-in for the interpreter that its environment is made with."""

from __future__ import annotations

import sys
from pathlib import Path

from arena_ray.runner import Recipe

RECIPE = Recipe(
    repository="https://example.invalid/originals",
    scripts="originals",
    python="3.11",
    packages=(("first==1.0",), ("second==2.0", "third==3.0")),
    trial=("learn", "--total-timesteps", "3"),
    trial_sign="all is well",
)

LEARN = """\
from dataclasses import dataclass

import tyro
from tensorboardX import SummaryWriter

from original_tools.learner import Learner


@dataclass
class Args:
    seed: int = 1
    env_id: str = "CartPole-v1"
    total_timesteps: int = 30


if __name__ == "__main__":
    args = tyro.cli(Args)
    writer, learner = SummaryWriter("runs/learn"), Learner()
    for global_step in range(args.total_timesteps):
        learner.update()
        writer.add_scalar("losses/weight", learner.weight, global_step)
    print("all is well")
    writer.close()
"""
LEARNER = """\
class Learner:
    weight = 0

    def update(self):
        self.weight += 1
"""

# Answers as an interpreter whose packages are the lines of a file; each call is noted in another one.
PYTHON = """\
#!{python} -IS
import os, shutil, sys, time
home, words = {home!r}, sys.argv[1:]
environment = os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0])))
packages = os.path.join(environment, "packages")
if words[:1] == ["-I"]:
    if len(words) == 3:
        print("3.11.99")
    else:
        has = dict(line.strip().split("==") for line in open(packages)) if os.path.exists(packages) else {{}}
        print("\\n".join(has.get(name, "") for name in words[3:]))
    sys.exit()
with open(os.path.join(home, "calls"), "a") as calls:
    print(" ".join(words), file=calls)
if words[:2] == ["-m", "venv"]:
    os.makedirs(os.path.join(words[2], "bin"))
    shutil.copy(sys.argv[0], os.path.join(words[2], "bin", "python"))
elif words[:2] == ["-m", "pip"]:
    named = words[words.index("install") + 1:]
    if os.path.exists(os.path.join(home, "offline")):
        sys.exit("no network: " + named[0])
    while os.path.exists(os.path.join(home, "slow")):
        time.sleep(0.01)
    open(packages, "a").writelines(name + "\\n" for name in named)
else:
    print(open(os.path.join(home, "trial")).read())
"""


def make_repository(root: Path) -> Path:
    """Write a repository with one script, which imports a package beside the directory of scripts."""
    for name, text in {
        "originals/learn.py": LEARN,
        "original_tools/__init__.py": "",
        "original_tools/learner.py": LEARNER,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def make_python(home: Path) -> Path:
    """Write the stand-in for an interpreter; *home* holds what it was asked (``calls``)."""
    home.mkdir()
    (home / "trial").write_text(RECIPE.trial_sign)
    path = home / "python"
    path.write_text(PYTHON.format(python=sys.executable, home=str(home)))
    path.chmod(0o755)
    return path
