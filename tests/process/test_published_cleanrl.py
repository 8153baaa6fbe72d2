"""What the package registry has of CleanRL: 1.2.0, with argparse, for Gymnasium 0.28 and Pythons before 3.11.

Of its scripts these two need nothing but what is installed here. The others import ``gym`` 0.23 or stable-baselines3.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

FLAGS = ["--env-id", "Pendulum-v1", "--cuda", "False", "--total-timesteps", "640", "--num-steps", "64"]
EPOCHS = ["--num-minibatches", "4", "--update-epochs", "1"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("published")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
    pinned = ["--no-deps", "--ignore-requires-python", "--only-binary", ":all:", "cleanrl==1.2.0"]
    done = subprocess.run([*pip, *pinned, "--dest", str(directory)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the package registry did not give cleanrl 1.2.0: {done.stderr.strip().splitlines()[-1:]}")
    (wheel,) = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory)
    return directory / "cleanrl"


@pytest.mark.parametrize(
    "name", ["ppo_continuous_action", pytest.param("rpo_continuous_action", marks=pytest.mark.slow)]
)
def test_a_published_script_is_monitored_and_after_a_kill_ends_with_the_same_weights(train, published, tmp_path, name):
    source = (published / f"{name}.py").read_text()
    control, killed = (train(source, *FLAGS, *EPOCHS, name=f"{name}.py", tensorboard=tmp_path / at) for at in "ab")
    killed.wait_for("boundary", held=True)
    killed.hold_at(320)
    assert killed.snapshot(tmp_path / "middle")["skipped"] == []
    killed.hold_at(448)
    killed.kill()
    again = train(source, *FLAGS, *EPOCHS, name=f"{name}.py", tensorboard=tmp_path / "b")
    again.restore(tmp_path / "middle")
    for trainer, path in ((control, "uninterrupted"), (again, "resumed")):
        trainer.send("grant", until_step=None)
        trainer.wait_for("boundary", ended=True, held=True)
        trainer.snapshot(tmp_path / path)
    weights = [(tmp_path / path / "policy.safetensors").read_bytes() for path in ("uninterrupted", "resumed")]
    assert weights[0] == weights[1]
    episodes = [(step, value) for step, tag, value in control.rows() if tag == "charts/episodic_return"]
    assert [step for step, _ in episodes] == [200, 400, 600]
    assert all(value < 0 for _, value in episodes)
