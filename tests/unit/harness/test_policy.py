"""What is told of a policy: all that is needed to act, or why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from index_policies import C51, DQN, PPO
from played_script import Played
from policy_families import PPO_CONTINUOUS, SAC, TD3

Described = dict[str, Any]
Describe = Callable[[str], Described]


@pytest.fixture
def describe(tmp_path: Path) -> Describe:
    """Run a script up to its end and describe what it holds then."""

    def run(source: str) -> Described:
        described = Played(tmp_path / f"script{len(list(tmp_path.iterdir()))}.py", source).describe()
        json.dumps(described, allow_nan=False)
        return described

    return run


def linear(name: str, inputs: int, outputs: int) -> Described:
    weights = {"weight": f"{name}.weight", "bias": f"{name}.bias"}
    return {"layer": "linear", "in_features": inputs, "out_features": outputs, **weights}


def test_an_actor_is_described_by_its_layers_and_the_names_of_their_weights(describe: Describe) -> None:
    described = describe(PPO)
    assert described["missing"] is None
    assert described["policy"] == {
        "kind": "categorical",
        "act": "mode",
        "module": "agent",
        "observation": [],
        "network": [linear("agent.actor.0", 4, 8), {"layer": "tanh"}, linear("agent.actor.2", 8, 2)],
        "action": [],
    }


def test_of_two_equal_networks_the_one_that_acts_is_the_policy(describe: Describe) -> None:
    policy = describe(DQN)["policy"]
    assert (policy["kind"], policy["act"], policy["module"]) == ("q_values", "greedy", "q_network")


def test_atoms_are_described_by_their_expectation(describe: Describe) -> None:
    *_, last = describe(C51)["policy"]["network"]
    assert last == {"layer": "expectation", "actions": 2, "atoms": 11, "support": "q_network.atoms"}


def test_a_gaussian_is_described_by_its_mean_and_what_wrappers_do(describe: Describe) -> None:
    policy = describe(PPO_CONTINUOUS)["policy"]
    assert (policy["kind"], policy["act"]) == ("gaussian", "mean")
    assert [step["step"] for step in policy["observation"]] == ["flatten", "normalize", "clip"]
    assert policy["action"] == [{"step": "clip", "low": -2.0, "high": 2.0}]


def test_a_squashed_gaussian_is_described_by_what_squashes_its_mean(describe: Describe) -> None:
    policy = describe(SAC)["policy"]
    assert (policy["kind"], policy["act"]) == ("squashed_gaussian", "mean")
    scale, shift = {"layer": "scale", "by": "actor.action_scale"}, {"layer": "shift", "by": "actor.action_bias"}
    assert policy["network"][2:] == [linear("actor.fc_mean", 8, 1), {"layer": "tanh"}, scale, shift]


def test_noise_is_no_part_of_a_policy_and_its_clip_is(describe: Describe) -> None:
    policy = describe(TD3)["policy"]
    assert (policy["kind"], policy["act"], policy["module"]) == ("deterministic", "output", "actor")
    assert policy["action"] == [{"step": "clip", "low": -2.0, "high": 2.0}]


ACTOR = "logits = self.actor(x)"
ASKED = "agent.get_action_and_value(next_obs)"
TAKEN = "envs.step(action.cpu().numpy())"
LAYERS = "nn.Tanh(), nn.Linear(8, 2)"


def test_an_evaluation_with_the_most_likely_action_is_by_the_same_policy(describe: Describe) -> None:
    greedy = "action = agent.distribution(next_obs).logits.argmax(1)\nenvs.step(action.numpy())\n"
    method = "    def distribution(self, x):\n        return Categorical(logits=self.actor(x))\n\n    def get_value"
    described = describe(PPO.replace("    def get_value", method).replace("b_obs =", greedy + "b_obs ="))
    assert described["policy"] == describe(PPO)["policy"]


HELPER = """
def select_action(obs, epsilon=0.1):
    if np.random.rand() < epsilon:
        return np.array([envs.single_action_space.sample() for _ in range(envs.num_envs)])
    values = q_network(torch.Tensor(obs).to(device))
    return torch.argmax(values, dim=1).cpu().numpy()

obs, _ ="""


def test_a_function_of_the_script_may_choose_the_action(describe: Describe) -> None:
    script = DQN.replace("obs, _ =", HELPER.lstrip()).replace("envs.step(actions)", "envs.step(select_action(obs))")
    assert describe(script)["policy"] == describe(DQN)["policy"]
    for old, new in (
        ("select_action(obs))", "select_action(obs / 2))"),
        ("    values = q", "    obs = obs / 2\n    values = q"),
        ("inside =", "called = list(map(select_action, [obs]))\ninside ="),
    ):
        changed = describe(script.replace(old, new))
        assert changed["policy"] is None
        assert "observations may be changed before q_network gets them" in changed["missing"]


@pytest.mark.parametrize(
    ("script", "old", "new", "missing"),
    [
        (PPO, ACTOR, "logits = self.actor(x / x.max())", "not understood: x.max()"),
        (PPO, ACTOR, "x.mul_(2); logits = self.actor(x)", "a line that is not understood: x.mul_(2)"),
        (PPO, ACTOR, "x[0] = 0; logits = self.actor(x)", "a line that is not understood: x[0]"),
        (PPO, ACTOR, "x *= 2; logits = self.actor(x)", "a line that is not understood: x *= 2"),
        (PPO, ACTOR, "logits = self.actor(print(x) or x)", "a line that is not understood: print(x)"),
        (PPO, ACTOR, "logits = F.relu(self.actor(x), True)", "more arguments than are understood"),
        (PPO, "nn.Linear(4, 8), nn.Tanh()", "nn.ReLU(True), nn.Linear(4, 8)", "changes in place what it is given"),
        (PPO, "(logits=logits)", "(logits=-logits.abs())", "not understood: logits.abs()"),
        (PPO, "if action is None", "if x.sum() > -99", "a line that is not understood: x.sum() > -99"),
        (PPO, LAYERS, "nn.Dropout(), nn.Linear(8, 2)", "agent.actor.1 is a Dropout, a layer"),
        (PPO, "nn.Linear(8, 2))", "nn.Linear(8, 1))", "takes 2 numbers or actions, the network gives 1"),
        (PPO, "Adam(agent.parameters())", "Adam(agent.critic.parameters())", "no optimizer holds agent.act"),
        (
            PPO,
            "optimizer =",
            "agent.actor[0].register_forward_hook(lambda *_: None);",
            "agent.actor.0 has a forward hook",
        ),
        (PPO, "if action is None", "if self.training", "a line that is not understood: self.training"),
        (PPO, "inside =", "agent.actor[1].forward = torch.tanh;", "agent.actor.1 is called in a way of its own"),
        (DQN, "return self.network(x)", "return self.network(x).abs()", "not understood: self.network(x).abs()"),
        (DQN, "nn.ReLU()", "nn.LeakyReLU(0.2)", "q_network.network.1 is a LeakyReLU, a layer"),
        (C51, "dim=2", "dim=1", "not understood: torch.softmax("),
        (C51, "self.atoms).sum(2)", "self.atoms).mean(2)", "not understood: (pmfs * self.atoms).mean(2)"),
        (C51, "steps=n_atoms))", "steps=n_atoms), persistent=False)", "not among the policy's weights"),
        (PPO_CONTINUOUS, "probs.sample()", "probs.sample() * self.critic(x)", "not understood: probs.sample() *"),
        (SAC, "= y_t * self.action_scale", "= y_t * log_std", "not understood: y_t * log_std"),
    ],
)
def test_a_network_that_is_not_understood_is_missing_with_the_reason(
    describe: Describe, script: str, old: str, new: str, missing: str
) -> None:
    assert old in script
    described = describe(script.replace(old, new))
    assert described["policy"] is None
    assert missing in described["missing"]


CHANGES = """
scaled = lambda x: x / 2

class Stack:
    def step(self, x):
        return x / 2

stack = Stack()

"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ASKED, "agent.get_action_and_value(next_obs / 2)"),
        (ASKED, "agent.get_action_and_value(next_obs[:, [1, 0, 3, 2]])"),
        (ASKED, "agent.get_action_and_value(scaled(next_obs))"),
        (ASKED, "agent.get_action_and_value(stack.step(next_obs))"),
        (ASKED, "(lambda o: agent.get_action_and_value(o))(next_obs / 2)"),
        ("obs[step] = next_obs", "next_obs.div_(2)"),
        ("obs[step] = next_obs", "next_obs /= 2"),
        ("obs[step] = next_obs", "next_obs[0] = next_obs[0] / 2"),
        ("obs[step] = next_obs", "torch.clamp(next_obs, -1, 1, out=next_obs)"),
    ],
)
def test_observations_that_may_be_changed_on_their_way_are_told(describe: Describe, old: str, new: str) -> None:
    assert old in PPO
    described = describe(PPO.replace("class Agent", f"{CHANGES}class Agent").replace(old, new))
    assert described["policy"] is None
    assert "may be changed before agent.get_action" in described["missing"] or "lambda o:" in described["missing"]


@pytest.mark.parametrize(
    ("script", "old", "new", "missing"),
    [
        (PPO, TAKEN, "envs.step(1 - action.cpu().numpy())", "another action than its module gives: 1 - action"),
        (PPO, TAKEN, "envs.step(np.flip(action.numpy()))", "another action than its module gives: np.flip"),
        (PPO, TAKEN, "(lambda a: envs.step(a))(action.numpy())", "another action than its module gives: a"),
        (PPO, TAKEN, "envs.step(envs.action_space.sample())", "no action that the script takes comes from"),
        (DQN, "torch.argmax(q_values, dim=1)", "torch.argmin(q_values, dim=1)", "its module gives: torch.argmin"),
        (DQN, "torch.argmax(q_values, dim=1)", "torch.argmax(q_values, dim=0)", "not understood: argmax"),
        (DQN, "actions = torch.argmax", "actions = 1 - torch.argmax", "its module gives: 1 - torch.argmax"),
        (TD3, "actions = actions.cpu().numpy()", "actions = actions.cpu().long().numpy()", "not understood: whole"),
        (TD3, "actions += torch.normal(0", "actions *= torch.normal(0", "its module gives: "),
        (TD3, "actions += torch", "actions += actor(torch.Tensor(obs)) * torch", "its module gives: "),
        (
            PPO,
            TAKEN,
            "envs.step(np.where(next_done, 1, action.numpy()))",
            "another action than its module gives: np.wh",
        ),
        (TD3, "inside =", "envs.step(target_actor(torch.Tensor(obs)).detach().numpy());", "several policies act"),
    ],
)
def test_actions_that_may_be_others_than_the_modules_are_told(
    describe: Describe, script: str, old: str, new: str, missing: str
) -> None:
    assert old in script
    described = describe(script.replace(old, new).replace("[make_env, make_env]", "[make_env] * 2"))
    assert described["policy"] is None
    assert missing in described["missing"]


def test_an_object_that_fails_when_it_is_looked_at_does_not_fail_the_snapshot(describe: Describe) -> None:
    spiteful = (
        "\nclass Spite(gym.Env):\n    @property\n    def observation_space(self): raise OSError('no')\nspite = Spite()"
    )
    assert describe(PPO + spiteful)["missing"] == "describing it failed: OSError: no"


def test_a_script_without_torch_or_environment_says_so(describe: Describe) -> None:
    assert describe("x = 1")["missing"] == "no variable of the script holds a gymnasium environment"
