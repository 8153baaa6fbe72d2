"""Each original script, not a character changed, is killed several times in a run and ends with the same bits."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

KILLS = 3
PPO = "--total-timesteps 2560 --num-steps 32"
OFF_POLICY = "--total-timesteps 1200 --learning-starts 300 --buffer-size 400"
GAUSSIAN = "--env-id Pendulum-v1 --total-timesteps 1280 --num-steps 64 --num-minibatches 4 --update-epochs 2"
ACTOR_CRITIC = "--env-id Pendulum-v1 --total-timesteps 650 --learning-starts 250 --buffer-size 300 --batch-size 16"
SCRIPTS = {
    "ppo": PPO,
    "dqn": OFF_POLICY,
    "c51": OFF_POLICY,
    "pqn": PPO,
    "ppo_continuous_action": GAUSSIAN,
    "rpo_continuous_action": GAUSSIAN,
    "ddpg_continuous_action": ACTOR_CRITIC,
    "td3_continuous_action": ACTOR_CRITIC,
    "sac_continuous_action": ACTOR_CRITIC,
}
VERSION = "import gymnasium; print(gymnasium.__version__)"


@pytest.fixture(params=["installed", "0.29.1"])
def python(request: pytest.FixtureRequest) -> str:
    return sys.executable if request.param == "installed" else request.getfixturevalue("older_python")


def scalars(trainer, first, last):
    """Return what was logged from boundary *first* on, and before *last*, but for what tells of the clock."""
    logged = [each for each in trainer.messages if each["type"] == "step" and first <= each["boundary"] < last]
    rows = [(each["step"], tag, value) for each in logged for tag, value in each["scalars"].items()]
    return [row for row in rows if row[1] != "charts/SPS"]


def finish(trainer, path):
    trainer.send("grant", until_step=None)
    trainer.wait_for("boundary", ended=True, held=True)
    assert trainer.snapshot(path)["skipped"] == []
    trainer.send("grant", until_step=None)
    trainer.wait_for("bye")
    trainer.outcome()
    return (path / "policy.safetensors").read_bytes()


def kill_and_resume(start, stops, directory):
    """Train, write down at each first of *stops* and kill at the second; return what each attempt was like."""
    attempts, checkpoint, boundary = [], None, 0
    for saved_at, killed_at in zip(stops[::2], stops[1::2], strict=True):
        trainer = start()
        if checkpoint is None:
            trainer.wait_for("boundary", held=True)
        else:
            trainer.restore(checkpoint)
        trainer.hold_at(saved_at)
        checkpoint = directory / f"at{saved_at}"
        saved = trainer.snapshot(checkpoint)
        assert saved["skipped"] == []
        killed = trainer.hold_at(killed_at)["step"]
        trainer.kill()
        attempts.append((trainer, boundary, saved["boundary"], killed))
        boundary = saved["boundary"]
    last = start()
    last.restore(checkpoint)
    return [*attempts, (last, boundary, 10**9, None)], finish(last, directory / "resumed")


@pytest.mark.parametrize("name", SCRIPTS)
def test_killed_several_times_it_ends_with_the_same_weights(train, upstream, python, tmp_path, record, name):
    flags = SCRIPTS[name].split()
    total = int(flags[flags.index("--total-timesteps") + 1])
    stops = sorted(random.Random(name).sample(range(total // 20, total - total // 20), 2 * KILLS))
    source = (upstream / "cleanrl" / f"{name}.py").read_text()
    number = iter(range(KILLS + 2))

    def start():
        options = {"python": python, "python_path": upstream, "tensorboard": tmp_path / f"events{next(number)}"}
        return train(source, "--no-cuda", *flags, name=f"{name}.py", **options)

    control = start()
    control.wait_for("boundary", held=True)
    expected = finish(control, tmp_path / "uninterrupted")
    attempts, found = kill_and_resume(start, stops, tmp_path)

    episodes = [row for row in control.rows() if row[1] == "charts/episodic_return"]
    version = subprocess.run([python, "-c", VERSION], capture_output=True, text=True, check=True).stdout.strip()
    are_rows_equal = all(scalars(one, *span) == scalars(control, *span) for one, *span, _ in attempts)
    verdicts = ["identical" if is_equal else "DIFFER" for is_equal in (found == expected, are_rows_equal)]
    killed = " ".join(str(step) for *_, step in attempts if step is not None)
    record += [name, version, str(total), killed, str(len(episodes)), *verdicts]
    assert episodes
    assert verdicts == ["identical", "identical"]
