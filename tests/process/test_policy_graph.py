"""Policies that are recorded as graphs of torch's, in this process: they act as their own modules, or are refused."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from index_policies import BEGIN
from played_script import Played
from policy_families import FAMILIES

from arena_ray.harness.policy_source import Unrecognised
from arena_ray.model.errors import PolicyUnusable
from arena_ray.serving.observations import MOST_IN_A_BATCH
from arena_ray.serving.policy import Policy
from arena_ray.serving.policy_files import PolicyFiles

PIXELS = (
    BEGIN
    + """
class Dots(gym.Env):
    observation_space = gym.spaces.Box(0, 255, (6, 6), np.uint8)
    action_space = gym.spaces.Discrete(3)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.integers(0, 256, (6, 6), np.uint8), {}
    def step(self, action):
        return self.np_random.integers(0, 256, (6, 6), np.uint8), 1.0, False, False, {}

envs = gym.vector.SyncVectorEnv([Dots, Dots])

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3, padding=1)
        self.last = nn.Linear(4 * 36, 3)
        self.seen = 0.0
        self.register_buffer("asked", torch.zeros(()))

    def forward(self, x):
        x = x.unsqueeze(1) / 255.0
        hidden = torch.relu(self.convolution(x)) + x
        return self.last(hidden.flatten(1))

net = Net()
optimizer = torch.optim.Adam(net.parameters())
obs, _ = envs.reset(seed=1)
for step in range(3):
    q_values = net(torch.Tensor(obs).to(device))
    actions = torch.argmax(q_values, dim=1).cpu().numpy()
    obs, rewards, terminations, truncations, infos = envs.step(actions)
inside = lambda x: net(x).argmax(1)
"""
)

FORWARD = "return self.last(hidden.flatten(1))"
ASKED = "net(torch.Tensor(obs).to(device))"
REFUSED = {
    "draws": (FORWARD, f"{FORWARD} + torch.randn(3)", "draws random numbers"),
    "remembers": (
        FORWARD,
        "self.seen = 0.5 * self.seen + hidden.sum()\n        return self.last(hidden.flatten(1)) * self.seen.sin()",
        "it has a memory",
    ),
    "counts": (FORWARD, f"self.asked += 1\n        {FORWARD}", "changes its module: it has a memory"),
    "rows depend on each other": (
        FORWARD,
        FORWARD.replace("hidden", "(hidden - hidden.mean(0))"),
        "several observations come as one batch",
    ),
    "more than an observation": (
        ASKED,
        "net(torch.Tensor(obs), obs[:1])",
        "a policy with a memory, as a recurrent one",
    ),
    "reshaped outside": (ASKED, "net(torch.Tensor(obs).reshape(2, 6, 6))", "do that in the module's forward"),
    "whole numbers": ("x.unsqueeze(1) / 255.0", "(x - 40).unsqueeze(1) / 255.0", "otherwise with whole numbers"),
    "untrained": ("Adam(net.parameters())", "Adam(nn.Linear(1, 1).parameters())", "no optimizer holds"),
    "numpy inside": (
        "hidden = ",
        "x = torch.Tensor(np.sin(x.numpy()))\n        hidden = ",
        "torch.export cannot record net",
    ),
    "values in place of an index": (
        "actions = torch.argmax(q_values, dim=1).cpu().numpy()",
        "actions = (net(torch.Tensor(obs)).cpu().detach().numpy()[:, 0] > 9).astype(int)",
        "the script may take another action",
    ),
}


def refusal(played: Played, tmp_path: Path) -> str:
    with pytest.raises(Unrecognised) as refused:
        played.with_graph(tmp_path)
    return str(refused.value)


def test_convolutions_act_outside_as_their_module_on_the_same_pixels(tmp_path: Path) -> None:
    played = Played(tmp_path / "script.py", PIXELS)
    described = played.describe()
    assert (described["policy"], described["environment"]["observation_space"]["shape"]) == (None, [6, 6])
    outside = played.with_graph(tmp_path)
    outside.probe()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 6, 6), dtype=np.uint8)
    with torch.no_grad():
        inside = played.names["inside"](torch.Tensor(pixels)).tolist()
    assert len(set(inside)) > 1
    assert outside.act(outside.check(pixels.tolist())[0]) == inside
    assert [outside.act(outside.check(one.tolist())[0])[0] for one in pixels[:3]] == inside[:3]
    assert len(outside.act(np.zeros((MOST_IN_A_BATCH, 6, 6), dtype=np.uint8))) == MOST_IN_A_BATCH


def test_what_was_trained_on_a_gpu_is_recorded_where_there_is_none(tmp_path: Path) -> None:
    source = PIXELS.replace("x = x.unsqueeze(1)", "x = x.to(device).to(self.device).unsqueeze(1)")
    source = source.replace("self.seen = 0.0", "self.device = device")
    played = Played(tmp_path / "script.py", source + "device = net.device = torch.device('cuda')\n")
    outside = played.with_graph(tmp_path)
    assert len(outside.act(np.zeros((2, 6, 6), dtype=np.uint8))) == 2


def test_a_graph_that_this_torch_cannot_read_fails_by_name(tmp_path: Path) -> None:
    played = Played(tmp_path / "script.py", PIXELS)
    played.with_graph(tmp_path)
    described = (tmp_path / "deployed" / "policy.json").read_bytes()
    files = PolicyFiles(described, b"", b"no graph")
    files.write(tmp_path / "broken")
    with pytest.raises(PolicyUnusable, match=r"torch [\w.+]+ cannot read its graph, which torch [\w.+]+ has written"):
        Policy.load(tmp_path / "broken", digest=files.digest())


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_act_otherwise_than_the_script_has_no_graph(tmp_path: Path, case: str) -> None:
    before, after, reason = REFUSED[case]
    assert before in PIXELS
    source = PIXELS.replace(before, after).replace("def forward(self, x):", "def forward(self, x, more=None):")
    ast.parse(source)
    assert reason in refusal(Played(tmp_path / "script.py", source), tmp_path)


DRAWN = {
    "checked": ("Categorical(probs=torch.softmax(self(x), 1), validate_args=True).sample()", None),
    "several": ("Categorical(logits=self(x)).sample((1,))[0]", "draws several actions from a distribution"),
    "multinomial": ("torch.multinomial(torch.softmax(self(x), 1), 1).squeeze(1)", "draws random numbers"),
}


@pytest.mark.parametrize("case", DRAWN)
def test_what_is_drawn_is_most_likely_where_that_is_known(tmp_path: Path, case: str) -> None:
    answer, reason = DRAWN[case]
    method = f"    def act(self, x):\n        return {answer}\n\nnet = Net()"
    source = PIXELS.replace("q_values = net(", "actions = net.act(").replace("torch.argmax(q_values, dim=1)", "actions")
    played = Played(tmp_path / "script.py", source.replace("net = Net()", method))
    if reason is not None:
        assert reason in refusal(played, tmp_path)
        return
    pixels = np.random.default_rng(0).integers(0, 256, (64, 6, 6), dtype=np.uint8)
    with torch.no_grad():
        inside = played.names["inside"](torch.Tensor(pixels)).tolist()
    assert played.with_graph(tmp_path).act(pixels) == inside


@pytest.mark.parametrize(
    ("before", "after", "takes_batches"),
    [
        ("hidden.flatten(1)", "hidden.reshape(int(x.shape[0]), -1)", False),
        ("self.last = ", "self.norm = nn.BatchNorm2d(4)\n        self.last = ", True),
        ("    obs, r", "    actions = np.where(step > 9, np.random.randint(3), actions)\n    obs, r", True),
    ],
)  # fmt: skip
def test_whatever_its_layers_need_it_acts_as_in_evaluation_mode(
    tmp_path: Path, before: str, after: str, takes_batches: bool
) -> None:
    source = PIXELS.replace(before, after)
    if "self.norm" in after:
        source = source.replace("torch.relu(self.convolution(x))", "torch.relu(self.norm(self.convolution(x)))")
    played = Played(tmp_path / "script.py", source)
    outside = played.with_graph(tmp_path)
    assert outside.description.policy.takes_batches is takes_batches
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 6), dtype=np.uint8)
    played.names["net"].eval()
    with torch.no_grad():
        assert outside.act(pixels) == played.names["inside"](torch.Tensor(pixels)).tolist()


RECURRENT = (
    BEGIN
    + """
envs = gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")])

class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory = nn.GRUCell(4, 8)
        self.actor = nn.Linear(8, 2)

    def act(self, x, state):
        state = self.memory(x, state)
        return Categorical(logits=self.actor(state)).sample(), state

agent, state = Agent(), torch.zeros(1, 8)
optimizer = torch.optim.Adam(agent.parameters())
obs, _ = envs.reset(seed=1)
for step in range(3):
    action, state = agent.act(torch.Tensor(obs), state)
    obs, reward, terminations, truncations, infos = envs.step(action.numpy())
"""
)


def test_a_recurrent_policy_is_refused_by_what_it_is_given(tmp_path: Path) -> None:
    played = Played(tmp_path / "script.py", RECURRENT)
    told = played.describe()["missing"]
    assert "; agent.memory is recurrent, and a policy with a memory can be neither described nor exported" in told
    reason = refusal(played, tmp_path)
    assert reason.startswith("agent.act(torch.Tensor(obs), state) is given more than an observation")


SOON = ("sac_continuous_action", "c51")


@pytest.mark.parametrize(
    "family", [pytest.param(one, marks=[] if one in SOON else pytest.mark.slow) for one in FAMILIES]
)
def test_a_graph_acts_as_a_described_policy_would(tmp_path: Path, family: str) -> None:
    played = Played(tmp_path / "script.py", FAMILIES[family][0])
    outside = played.with_graph(tmp_path)
    outside.probe()
    size = outside.description.observations.shape[0]
    observations = np.random.default_rng(0).standard_normal((64, size)).astype(np.float32) * 3
    with torch.no_grad():
        inside = played.names["inside"](played.seen(observations)).numpy()
    acted = np.asarray(outside.act(outside.check(observations.tolist())[0]))
    assert np.allclose(acted, inside, rtol=0, atol=1e-6)
