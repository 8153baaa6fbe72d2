"""On today's Gymnasium the original scripts print the episodes that they print on the one they were written for."""

from __future__ import annotations

import os
import subprocess

import pytest

STEPS = "11000"


def episodes(output: str) -> list[str]:
    return [line for line in output.splitlines() if "episodic_return=" in line]


@pytest.mark.parametrize("name", ["ppo", "dqn", "c51"])
def test_episodes_on_cartpole_are_those_of_gymnasium_0_29(train, upstream, older_python, tmp_path, name):
    flags = ["--no-cuda", "--total-timesteps", STEPS]
    bare = subprocess.run(
        [older_python, str(upstream / "cleanrl" / f"{name}.py"), *flags],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(upstream), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    source = (upstream / "cleanrl" / f"{name}.py").read_text()
    trainer = train(source, *flags, name=f"{name}.py", python_path=upstream)
    trainer.wait_for("boundary", held=True)
    here = episodes(trainer.finish()[0])
    assert len(here) > 100
    assert here == episodes(bare.stdout)
