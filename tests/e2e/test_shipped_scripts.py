"""The shipped scripts, run as they are: without arena_ray."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from arena_runners.cleanrl import CleanRLRunner

SCRIPTS = CleanRLRunner().scripts()
OFF_POLICY = ["--total-timesteps", "1500", "--learning-starts", "300", "--buffer-size", "500"]
SHORT = {
    "ppo": ["--total-timesteps", "2048"],
    "dqn": OFF_POLICY,
    "c51": OFF_POLICY,
    "ppo_continuous_action": ["--total-timesteps", "3072", "--num-steps", "512", "--num-envs", "2"],
    "sac_continuous_action": [*OFF_POLICY, "--num-envs", "2"],
    "td3_continuous_action": [*OFF_POLICY, "--num-envs", "2"],
}
IN_CI = ("ppo", "dqn")  # tests/process/test_resume_shipped.py trains the others

CHARTS = {"charts/episodic_return", "charts/episodic_length", "charts/SPS"}
PPO_LOSSES = ("value_loss", "policy_loss", "entropy", "old_approx_kl", "approx_kl", "clipfrac", "explained_variance")
ACTOR_CRITIC_LOSSES = ("qf1_values", "qf2_values", "qf1_loss", "qf2_loss", "qf_loss", "actor_loss")
TAGS = {
    "ppo": CHARTS | {"charts/learning_rate"} | {f"losses/{loss}" for loss in PPO_LOSSES},
    "dqn": CHARTS | {"losses/td_loss", "losses/q_values"},
    "c51": CHARTS | {"losses/loss", "losses/q_values"},
    "ppo_continuous_action": CHARTS | {"charts/learning_rate"} | {f"losses/{loss}" for loss in PPO_LOSSES},
    "sac_continuous_action": CHARTS | {f"losses/{loss}" for loss in (*ACTOR_CRITIC_LOSSES, "alpha", "alpha_loss")},
    "td3_continuous_action": CHARTS | {f"losses/{loss}" for loss in ACTOR_CRITIC_LOSSES},
}


def train(name: str, *flags: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS[name]), "--no-cuda", *flags],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def episodes(output: str) -> list[str]:
    return [line for line in output.splitlines() if "episodic_return=" in line]


def all_returns(output: str) -> list[float]:
    return [float(line.rpartition("=")[2]) for line in episodes(output)]


def last_returns(output: str) -> list[float]:
    return all_returns(output)[-20:]


def slow(*values: object) -> object:
    return pytest.param(*values, marks=pytest.mark.slow)


@dataclass(frozen=True)
class Training:
    """A short training of a shipped script, seed 1, that several tests look at."""

    name: str
    directory: Path
    stdout: str


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[] if name in IN_CI else [pytest.mark.slow]) for name in SHORT],
)
def training(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Training:
    directory = tmp_path_factory.mktemp(request.param)
    done = train(request.param, *SHORT[request.param], cwd=directory)
    assert done.returncode == 0, done.stderr
    return Training(request.param, directory, done.stdout)


def test_a_seed_repeats(training: Training, tmp_path: Path) -> None:
    again = train(training.name, *SHORT[training.name], cwd=tmp_path)
    assert len(episodes(training.stdout)) >= 6
    assert episodes(again.stdout) == episodes(training.stdout)


def test_another_seed_differs(training: Training, tmp_path: Path) -> None:
    other = train(training.name, *SHORT[training.name], "--seed", "2", cwd=tmp_path)
    assert episodes(other.stdout) != episodes(training.stdout)


def test_a_script_logs_what_it_prints_under_the_tags_of_cleanrl(training: Training) -> None:
    (directory,) = (training.directory / "runs").iterdir()
    env_id = "Pendulum-v1" if training.name.endswith("continuous_action") else "CartPole-v1"
    assert directory.name.startswith(f"{env_id}__{training.name}__1__")
    logged = EventAccumulator(str(directory))
    logged.Reload()
    assert set(logged.Tags()["scalars"]) == TAGS[training.name]
    assert logged.Tags()["tensors"] == ["hyperparameters/text_summary"]
    returns = logged.Scalars("charts/episodic_return")
    printed = [f"global_step={one.step}, episodic_return={one.value}" for one in returns]
    lengths = [one.value for one in logged.Scalars("charts/episodic_length")]
    if env_id == "CartPole-v1":
        assert episodes(training.stdout) == printed
        assert lengths == [one.value for one in returns]  # CartPole pays 1 a step
    else:  # an event holds 32 bits of a return
        assert last_returns(training.stdout) == pytest.approx([one.value for one in returns][-20:])
        assert set(lengths) == {200.0}
    assert any(line.startswith("SPS: ") for line in training.stdout.splitlines())


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("ppo", ["--no-such-flag"], "no-such-flag"),
        ("ppo", ["--total-timesteps", "100"], "total_timesteps 100 is less than one batch of 512 steps"),
        ("ppo", ["--num-minibatches", "600"], "cannot be cut into 600 minibatches"),
        ("ppo", ["--env-id", "Pendulum-v1"], "needs discrete actions; Pendulum-v1 has Box"),
        ("dqn", ["--env-id", "Pendulum-v1"], "needs discrete actions; Pendulum-v1 has Box"),
        ("dqn", ["--train-frequency", "0"], "must be at least 1"),
        ("dqn", ["--total-timesteps", "0"], "total_timesteps 0 is not one step"),
        slow("c51", ["--env-id", "Pendulum-v1"], "needs discrete actions; Pendulum-v1 has Box"),
        slow("c51", ["--v-min", "1", "--v-max", "1"], "v_min less than v_max"),
        slow(
            "ppo_continuous_action", ["--env-id", "CartPole-v1"], "needs continuous actions; CartPole-v1 has Discrete"
        ),
        slow("sac_continuous_action", ["--env-id", "CartPole-v1"], "within bounds; CartPole-v1 has Discrete"),
        slow("td3_continuous_action", ["--policy-frequency", "0"], "must be at least 1"),
    ],
)
def test_a_flag_that_cannot_be_used_ends_the_script_with_a_clear_line(
    name: str, flags: list[str], message: str, tmp_path: Path
) -> None:
    done = train(name, *flags, cwd=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


TUNED = ["--learning-rate", "1e-3", "--gamma", "0.98", "--gae-lambda", "0.9", "--no-clip-vloss"]


def test_ppo_learns_while_the_test_waits(tmp_path: Path) -> None:
    done = train("ppo", "--total-timesteps", "16384", *TUNED, cwd=tmp_path)
    returns = last_returns(done.stdout)
    assert sum(returns) / len(returns) > 60  # an untrained policy balances for about 20 steps


@pytest.mark.slow
def test_ppo_solves_cartpole_in_100000_steps(tmp_path: Path) -> None:
    done = train("ppo", "--total-timesteps", "100000", *TUNED, cwd=tmp_path)
    assert sum(last_returns(done.stdout)) / 20 >= 400


@pytest.mark.slow
def test_dqn_learns_cartpole(tmp_path: Path) -> None:
    done = train("dqn", "--total-timesteps", "100000", cwd=tmp_path)
    assert sum(last_returns(done.stdout)) / 20 >= 100


@pytest.mark.slow
def test_c51_learns_cartpole(tmp_path: Path) -> None:
    done = train("c51", "--total-timesteps", "60000", cwd=tmp_path)
    returns = all_returns(done.stdout)
    assert sum(returns[-100:]) >= 3 * sum(returns[:100])  # it explores to the end, and good episodes alternate with bad


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "flags", "least"),
    [
        (
            "ppo_continuous_action",
            "--total-timesteps 150000 --learning-rate 1e-3 --gamma 0.9 --num-envs 4 --num-steps 512",
            -700,
        ),
        ("sac_continuous_action", "--total-timesteps 6000 --learning-starts 1000", -300),
        ("td3_continuous_action", "--total-timesteps 12000 --learning-starts 1000", -400),
    ],
)
def test_it_learns_to_hold_the_pendulum_up(name: str, flags: str, least: float, tmp_path: Path) -> None:
    done = train(name, *flags.split(), cwd=tmp_path)
    returns = last_returns(done.stdout)[-5:]
    assert sum(returns) / len(returns) >= least  # one that acts at random gets about -1200
