"""A policy outside its script does as well as inside it: the same episodes, played by the script itself at its end."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest

import arena_runners.cleanrl
from arena_ray.serving.client import Answer
from arena_ray.serving.evaluation import Evaluation, evaluate
from arena_ray.serving.policy import Policy
from arena_ray.serving.policy_files import PolicyFiles

SCRIPTS = Path(arena_runners.cleanrl.__file__).parent / "scripts"
ACTS = {
    "ppo": "agent.policy(x).logits.argmax(1)",
    "dqn": "q_network(x).argmax(1)",
    "c51": "q_network.q_values(q_network(x)).argmax(1)",
    "ppo_continuous_action": "agent.policy(x).mean",
    "sac_continuous_action": "torch.tanh(actor(x)[0]) * actor.action_scale + actor.action_bias",
    "td3_continuous_action": "actor(x)",
}
"""How each shipped script's own module acts on a batch ``x``."""

PLAY = """

if __name__ == "__main__":
    import json

    env, returns = envs.envs[0], []
    layer = env
    while isinstance(layer, gym.Wrapper):
        if hasattr(layer, "update_running_mean"):
            layer.update_running_mean = False
        layer = layer.env
    for seed in range(EPISODES):
        obs, _ = env.reset(seed=seed)
        over = False
        while not over:
            with torch.no_grad():
                x = torch.as_tensor(obs, dtype=torch.float32).unsqueeze(0)
                action = (ACT)[0].numpy()
            obs, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
        returns.append(float(info["episode"]["r"]))
    Path("inside.json").write_text(json.dumps(returns))
"""
SHORT = {"ppo": {"total_timesteps": 2048}, "dqn": {"total_timesteps": 400, "learning_starts": 50, "train_frequency": 1}}
LONGER: dict[str, dict[str, Any]] = {
    "ppo": {"total_timesteps": 30_000, "learning_rate": 1e-3},
    "dqn": {"total_timesteps": 20_000, "learning_starts": 1000, "learning_rate": 1e-3, "exploration_fraction": 0.2},
    "c51": {"total_timesteps": 20_000, "learning_starts": 1000, "learning_rate": 1e-3, "exploration_fraction": 0.2},
    "ppo_continuous_action": {"env_id": "Pendulum-v1", "total_timesteps": 60_000, "learning_rate": 1e-3, "gamma": 0.9},
    "sac_continuous_action": {"env_id": "Pendulum-v1", "total_timesteps": 5000, "learning_starts": 500},
    "td3_continuous_action": {"env_id": "Pendulum-v1", "total_timesteps": 5000, "learning_starts": 500},
}


def outside(checkpoint: Path) -> Policy:
    """Return the policy as it is deployed: from its two files alone."""
    files = PolicyFiles((checkpoint / "policy.json").read_bytes(), (checkpoint / "policy.safetensors").read_bytes())
    target = checkpoint.with_name("deployed")
    files.write(target)
    return Policy.load(target, digest=files.digest())


def trained(train: Any, tmp_path: Path, script: str, *, episodes: int, **flags: Any) -> tuple[Evaluation, Evaluation]:
    """Train, and play *episodes* of the same seeds inside and outside."""
    source = (SCRIPTS / f"{script}.py").read_text().replace("print(", "(lambda *_: None)(")  # a full pipe would hold it
    source += PLAY.replace("EPISODES", str(episodes)).replace("ACT", ACTS[script])
    said = [text for name, value in flags.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    trainer = train(source, *said, "--no-cuda", name=f"{script}.py")
    trainer.wait_for("boundary", held=True)
    trainer.send("grant", until_step=None)
    trainer.wait_for("boundary", ended=True, held=True)
    trainer.snapshot(tmp_path / "checkpoint")
    trainer.send("grant", until_step=None)
    trainer.wait_for("bye")
    trainer.outcome()
    policy, env_id = outside(tmp_path / "checkpoint"), flags.get("env_id", "CartPole-v1")
    returns = json.loads((tmp_path / "inside.json").read_text())

    def act(batch: list[list[float]]) -> Answer:
        return Answer(action=policy.act(policy.check(batch)[0]), version=1)

    inside = Evaluation(env_id, 0, tuple(returns), (1,))
    return inside, evaluate(act, env_id, episodes=episodes, seed=0)


@pytest.mark.parametrize("script", SHORT)
def test_evaluation_outside_equals_evaluation_inside(train: Any, tmp_path: Path, script: str) -> None:
    inside, played = trained(train, tmp_path, script, episodes=5, **SHORT[script])
    assert played == inside
    assert len(played.returns) == 5


@pytest.mark.slow
@pytest.mark.parametrize("script", LONGER)
def test_a_trained_policy_does_as_well_outside_as_inside(train: Any, tmp_path: Path, script: str) -> None:
    inside, played = trained(train, tmp_path, script, episodes=20, **LONGER[script])
    figures = [f"{one.mean:.2f} (std {one.std:.2f})" for one in (inside, played)]
    furthest = max(abs(a - b) for a, b in zip(inside.returns, played.returns, strict=True))
    print(f"{script}: inside {figures[0]}, outside {figures[1]}; of one episode at most {furthest:.4g} apart")
    noise = max(statistics.stdev(inside.returns) / math.sqrt(20), 0.01 * abs(inside.mean))
    assert abs(played.mean - inside.mean) <= noise


def test_describing_the_policy_changes_nothing_of_the_training(train: Any, tmp_path: Path) -> None:
    source = (SCRIPTS / "ppo.py").read_text()
    digests = []
    for name, steps in (("once", [1536]), ("often", [512, 1024, 1536])):
        trainer = train(source, "--total-timesteps", "2048", "--no-cuda", name=f"{name}.py")
        trainer.wait_for("boundary", held=True)
        for step in steps:
            trainer.hold_at(step)
            trainer.snapshot(tmp_path / name)
        trainer.kill()
        digests.append(hashlib.sha256((tmp_path / name / "policy.safetensors").read_bytes()).hexdigest())
    assert digests[0] == digests[1]
