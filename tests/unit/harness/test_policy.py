"""What is told of a policy: all that is needed to act, or why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from arena_ray.harness import capture, policy
from arena_ray.harness.environments import describe_space
from arena_ray.harness.live import LiveMap
from arena_ray.harness.variables import Variables

ACTOR = """
import gymnasium as gym
import torch
from torch import nn
from torch.distributions import Categorical

class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
        self.actor = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))

    def policy(self, obs):
        logits = self.actor(obs)
        return Categorical(logits=logits)

def make():
    env = gym.make("CartPole-v1")
    return gym.wrappers.RecordEpisodeStatistics(env)

envs = gym.vector.SyncVectorEnv([make])
agent = Agent()
optimizer = torch.optim.Adam(agent.parameters())
first, _ = envs.reset(seed=1)
next_obs = torch.tensor(first)
agent.policy(next_obs).sample()
"""

VALUES = """
import gymnasium as gym
import torch
from torch import nn

class QNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Linear(5, 2))

    def forward(self, x):
        return self.network(torch.flatten(x, 1))

envs = gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")])
q_network = QNetwork()
target_network = QNetwork()
target_network.load_state_dict(q_network.state_dict())
optimizer = torch.optim.Adam(q_network.parameters())
obs, _ = envs.reset(seed=1)
q_network(torch.Tensor(obs)).argmax(1)
"""

Described = dict[str, Any]


@pytest.fixture
def describe(tmp_path: Path) -> Callable[[str], Described]:
    """Run a script up to its end and describe what it holds then."""

    def run(source: str) -> Described:
        path = tmp_path / f"script{len(list(tmp_path.iterdir()))}.py"
        path.write_text(source)
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(source, str(path), "exec"), names)
        frame: Any = SimpleNamespace(f_globals=names, f_locals=names)
        variables = Variables(frame, None)
        live_map = LiveMap(variables, script_dir=tmp_path, fixed=[])
        described = policy.describe(capture.take(variables, live_map))
        json.dumps(described, allow_nan=False)
        return described

    return run


def test_an_actor_is_described_by_its_layers_and_the_names_of_their_weights(
    describe: Callable[[str], Described],
) -> None:
    described = describe(ACTOR)
    assert described["missing"] is None
    assert described["policy"] == {
        "kind": "categorical",
        "module": "agent",
        "network": [
            {"layer": "flatten"},
            {
                "layer": "linear",
                "in_features": 4,
                "out_features": 3,
                "weight": "agent.actor.0.weight",
                "bias": "agent.actor.0.bias",
            },
            {"layer": "tanh"},
            {
                "layer": "linear",
                "in_features": 3,
                "out_features": 2,
                "weight": "agent.actor.2.weight",
                "bias": "agent.actor.2.bias",
            },
        ],
    }


def test_the_environment_is_described_with_its_wrappers_and_infinities_as_text(
    describe: Callable[[str], Described],
) -> None:
    environment = describe(ACTOR)["environment"]
    assert environment["env_id"] == "CartPole-v1"
    assert environment["wrappers"][:2] == ["RecordEpisodeStatistics", "TimeLimit"]
    assert environment["action_space"] == {"space": "discrete", "n": 2, "start": 0}
    box = environment["observation_space"]
    assert (box["space"], box["shape"], box["dtype"]) == ("box", [4], "float32")
    assert (box["low"][1], box["high"][3]) == ("-inf", "inf")


def test_of_two_equal_networks_the_one_that_an_optimizer_holds_is_the_policy(
    describe: Callable[[str], Described],
) -> None:
    described = describe(VALUES)
    assert (described["policy"]["kind"], described["policy"]["module"]) == ("q_values", "q_network")
    assert described["policy"]["network"][1]["bias"] is None


def test_equal_bounds_are_one_number_and_another_space_has_only_its_kind() -> None:
    import gymnasium
    import numpy as np

    picture = gymnasium.spaces.Box(0, 255, (2, 2, 3), np.uint8)
    assert describe_space(picture) == {"space": "box", "shape": [2, 2, 3], "dtype": "uint8", "low": 0, "high": 255}
    assert describe_space(gymnasium.spaces.MultiBinary(3)) == {"space": "multibinary"}


@pytest.mark.parametrize(
    ("script", "old", "new", "missing"),
    [
        (ACTOR, "self.actor(obs)", "self.actor(obs / 255.0)", "changes the observation before the network gets it"),
        (ACTOR, "(logits=logits)", "(logits=logits * 2)", "does not use the network's outputs as logits"),
        (ACTOR, "nn.Tanh(), nn.Linear(3, 2)", "nn.Dropout(), nn.Linear(3, 2)", "actor.1 is a Dropout, a layer that"),
        (ACTOR, "= gym.make(", "= gym.wrappers.FlattenObservation(gym.make(", None),
        (ACTOR, "torch.tensor(first)", "torch.tensor(first / 4.8)", "may be changed before agent gets them: agent.pol"),
        (ACTOR, "torch.tensor(first)", "scaled(torch.tensor(first))", "may be changed before agent gets them"),
        (
            ACTOR,
            "agent.policy(next_obs)",
            "next_obs.div_(2); agent.policy(next_obs)",
            "may be changed before agent gets",
        ),
        (
            ACTOR,
            "agent.policy(next_obs)",
            "first /= 2; agent.policy(next_obs)",
            "may be changed before agent gets them",
        ),
        (ACTOR, "agent.policy(next_obs)", "first[0] = first[0] / 2; agent.policy(next_obs)", "may be changed before"),
        (
            ACTOR,
            "agent.policy(next_obs)",
            "ask = lambda o: agent.policy(o); ask(next_obs / 2)",
            "may be changed before",
        ),
        (ACTOR, "nn.Linear(3, 2)", "nn.Linear(3, 5)", "and 2 actions, the network takes 4 and gives 5"),
        (
            ACTOR,
            "optimizer =",
            "other = torch.optim.Adam([torch.zeros(1, requires_grad=True)]) #",
            "no optimizers hold",
        ),
        (
            ACTOR,
            "agent = Agent()",
            "agent = Agent(); agent.actor[0].register_forward_hook(print)",
            "has a forward hook",
        ),
        (VALUES, "return self.network(", "return 2 * self.network(", "does not return the network's outputs as they"),
        (VALUES, "gym.make(", "gym.wrappers.TransformAction(gym.make(", None),
        (VALUES, "gym.vector.SyncVectorEnv(", "list(", "no variable of the script holds a gymnasium environment"),
    ],
)
def test_what_is_not_recognised_is_missing_with_the_reason(
    describe: Callable[[str], Described], script: str, old: str, new: str, missing: str | None
) -> None:
    assert old in script
    changed = script.replace(old, new)
    if "scaled" in new:
        changed = changed.replace("envs =", "scaled = lambda x: x\nenvs =")
    if "FlattenObservation" in new:
        changed = changed.replace('"CartPole-v1")', '"CartPole-v1"))')
    if "TransformAction" in new:
        changed = changed.replace('"CartPole-v1")', '"CartPole-v1"), lambda a: 1 - a, None)')
    if "list(" in new:
        changed = changed[: changed.index("obs, _ =")]
    described = describe(changed)
    assert described["policy"] is None
    assert (missing or "may change observations or actions") in described["missing"]


def test_an_object_that_fails_when_it_is_looked_at_does_not_fail_the_snapshot(
    describe: Callable[[str], Described],
) -> None:
    spiteful = (
        "\nclass Spite(gym.Env):\n    @property\n    def observation_space(self): raise OSError('no')\nspite = Spite()"
    )
    assert describe(ACTOR + spiteful)["missing"] == "describing it failed: OSError: no"


def test_a_script_without_torch_or_environment_says_so(describe: Callable[[str], Described]) -> None:
    assert describe("x = 1")["missing"] == "no variable of the script holds a gymnasium environment"
