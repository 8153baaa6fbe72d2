"""A policy outside its script acts exactly as inside it: the same logits, bit for bit, and the same actions."""

from __future__ import annotations

import hashlib
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import safetensors.torch
import torch

import arena_runners.cleanrl
from arena_ray.serving.client import Answer
from arena_ray.serving.evaluation import evaluate
from arena_ray.serving.policy import Policy
from arena_ray.serving.policy_files import PolicyFiles

SCRIPTS = Path(arena_runners.cleanrl.__file__).parent / "scripts"
FLAGS = {
    "ppo": ["--total-timesteps", "2048"],
    "dqn": ["--total-timesteps", "400", "--learning-starts", "50", "--train-frequency", "1"],
}


def outside(checkpoint: Path) -> Policy:
    """Return the policy as it is deployed: from its two files alone."""
    files = PolicyFiles((checkpoint / "policy.json").read_bytes(), (checkpoint / "policy.safetensors").read_bytes())
    target = checkpoint.with_name("deployed")
    files.write(target)
    shutil.rmtree(checkpoint)
    return Policy.load(target, digest=files.digest())


def inside(script: str, checkpoint: Path) -> Any:
    """Return the function from observations to logits or Q-values of the script's own class, with the weights."""
    names = runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="not_main")
    environment = gymnasium.make("CartPole-v1")
    spaces = SimpleNamespace(
        single_observation_space=environment.observation_space, single_action_space=environment.action_space
    )
    module, variable = (names["Agent"], "agent") if script == "ppo" else (names["QNetwork"], "q_network")
    network = module(spaces)
    weights = safetensors.torch.load_file(checkpoint / "policy.safetensors")
    own = {name.removeprefix(f"{variable}."): value for name, value in weights.items() if name.startswith(variable)}
    network.load_state_dict(own)
    if script == "ppo":
        return lambda observations: network.actor(torch.as_tensor(observations))
    return lambda observations: network(torch.as_tensor(observations))


@pytest.mark.parametrize("script", ["ppo", "dqn"])
def test_evaluation_outside_equals_evaluation_inside(train: Any, tmp_path: Path, script: str) -> None:
    trainer = train((SCRIPTS / f"{script}.py").read_text(), *FLAGS[script], "--no-cuda", name=f"{script}.py")
    trainer.wait_for("boundary", held=True)
    trainer.hold_at(300)
    trainer.snapshot(tmp_path / "checkpoint")
    trainer.kill()
    own, policy = inside(script, tmp_path / "checkpoint"), outside(tmp_path / "checkpoint")
    observations = np.random.default_rng(0).standard_normal((64, 4), dtype=np.float32)
    with torch.no_grad():
        logits = own(observations)
        assert torch.equal(policy.outputs(observations), logits)
    assert policy.act(observations) == logits.argmax(1).tolist()

    def act_inside(batch: list[list[float]]) -> Answer:
        with torch.no_grad():
            chosen = own(np.asarray(batch, dtype=np.float32)).argmax(1)
        return Answer(action=chosen.tolist(), version=1)

    def act_outside(batch: list[list[float]]) -> Answer:
        return Answer(action=policy.act(policy.check(batch)[0]), version=1)

    played = [evaluate(act, "CartPole-v1", episodes=5, seed=3) for act in (act_inside, act_outside)]
    assert played[0] == played[1]
    assert len(played[0].returns) == 5


def test_describing_the_policy_changes_nothing_of_the_training(train: Any, tmp_path: Path) -> None:
    source = (SCRIPTS / "ppo.py").read_text()
    digests = []
    for name, steps in (("once", [1536]), ("often", [512, 1024, 1536])):
        trainer = train(source, *FLAGS["ppo"], "--no-cuda", name=f"{name}.py")
        trainer.wait_for("boundary", held=True)
        for step in steps:
            trainer.hold_at(step)
            trainer.snapshot(tmp_path / name)
        trainer.kill()
        digests.append(hashlib.sha256((tmp_path / name / "policy.safetensors").read_bytes()).hexdigest())
    assert digests[0] == digests[1]
