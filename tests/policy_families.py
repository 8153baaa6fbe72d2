"""Small scripts of each family of policies, in the form in which CleanRL writes them; none of them trains."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from arena_ray.harness import capture, policy
from arena_ray.harness.live import LiveMap
from arena_ray.harness.variables import Variables
from arena_ray.serving.policy import Policy
from arena_ray.serving.policy_files import PolicyFiles

_BEGIN = """
import gymnasium as gym
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions.categorical import Categorical
from torch.distributions.normal import Normal

torch.manual_seed(0)
device = torch.device("cpu")
"""

_DISCRETE = """
def make_env():
    return gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1"))

envs = gym.vector.SyncVectorEnv([make_env, make_env], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
"""

_BOUNDED = _DISCRETE.replace("CartPole-v1", "Pendulum-v1")

_NORMALISED = """
def make_env():
    env = gym.make("Pendulum-v1")
    env = gym.wrappers.FlattenObservation(env)
    env = gym.wrappers.RecordEpisodeStatistics(env)
    env = gym.wrappers.ClipAction(env)
    env = gym.wrappers.NormalizeObservation(env)
    env = gym.wrappers.TransformObservation(env, lambda obs: np.clip(obs, -10, 10), env.observation_space)
    env = gym.wrappers.NormalizeReward(env, gamma=0.99)
    return gym.wrappers.TransformReward(env, lambda reward: np.clip(reward, -10, 10))

envs = gym.vector.SyncVectorEnv([make_env], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
"""

PPO = (
    _BEGIN
    + _DISCRETE
    + """
class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
        self.actor = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))

    def get_value(self, x):
        return self.critic(x)

    def get_action_and_value(self, x, action=None):
        logits = self.actor(x)
        probs = Categorical(logits=logits)
        if action is None:
            action = probs.sample()
        return action, probs.log_prob(action), probs.entropy(), self.critic(x)

agent = Agent().to(device)
optimizer = torch.optim.Adam(agent.parameters())
obs = torch.zeros((5, 2) + envs.single_observation_space.shape).to(device)
next_obs, _ = envs.reset(seed=1)
next_obs, next_done = torch.Tensor(next_obs).to(device), torch.zeros(2).to(device)
for step in range(5):
    obs[step] = next_obs
    with torch.no_grad():
        action, logprob, _, value = agent.get_action_and_value(next_obs)
    next_obs, reward, terminations, truncations, infos = envs.step(action.cpu().numpy())
    next_obs, next_done = torch.Tensor(next_obs).to(device), torch.Tensor(terminations).to(device)
b_obs = obs.reshape((-1,) + envs.single_observation_space.shape)
_, newlogprob, entropy, newvalue = agent.get_action_and_value(b_obs[:3], action[:1])
inside = lambda x: agent.actor(x).argmax(1)
"""
)

DQN = (
    _BEGIN
    + _DISCRETE
    + """
class QNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x):
        return self.network(x)

q_network = QNetwork().to(device)
target_network = QNetwork().to(device)
optimizer = torch.optim.Adam(q_network.parameters())
obs, _ = envs.reset(seed=1)
for global_step in range(5):
    if global_step < 2:
        actions = np.array([envs.single_action_space.sample() for _ in range(envs.num_envs)])
    else:
        q_values = q_network(torch.Tensor(obs).to(device))
        actions = torch.argmax(q_values, dim=1).cpu().numpy()
    next_obs, rewards, terminations, truncations, infos = envs.step(actions)
    obs = next_obs
target_max, _ = target_network(torch.Tensor(next_obs)).max(dim=1)
inside = lambda x: q_network(x).argmax(1)
"""
)

PQN = (
    DQN.replace("nn.Linear(4, 8), nn.ReLU()", "nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU()")
    .replace("    if global_step < 2:\n        actions = np.array(", "    if False:\n        actions = np.array(")
    .replace(
        "        actions = torch.argmax(q_values, dim=1).cpu().numpy()\n",
        "        random_actions = torch.randint(0, envs.single_action_space.n, (2,)).to(device)\n"
        "        max_actions = torch.argmax(q_values, dim=1)\n"
        "        explore = torch.rand((2,)).to(device) < 0.5\n"
        "        actions = torch.where(explore, random_actions, max_actions).cpu().numpy()\n",
    )
)

C51 = (
    _BEGIN
    + _DISCRETE
    + """
class QNetwork(nn.Module):
    def __init__(self, env, n_atoms=11, v_min=-3, v_max=30):
        super().__init__()
        self.env = env
        self.n_atoms = n_atoms
        self.register_buffer("atoms", torch.linspace(v_min, v_max, steps=n_atoms))
        self.n = env.single_action_space.n
        self.network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, self.n * n_atoms))

    def get_action(self, x, action=None):
        logits = self.network(x)
        # probability mass function for each action
        pmfs = torch.softmax(logits.view(len(x), self.n, self.n_atoms), dim=2)
        q_values = (pmfs * self.atoms).sum(2)
        if action is None:
            action = torch.argmax(q_values, 1)
        return action, pmfs[torch.arange(len(x)), action]

q_network = QNetwork(envs).to(device)
optimizer = torch.optim.Adam(q_network.parameters())
obs, _ = envs.reset(seed=1)
for global_step in range(5):
    if np.random.rand() < 0.5:
        actions = np.array([envs.single_action_space.sample() for _ in range(envs.num_envs)])
    else:
        actions, pmf = q_network.get_action(torch.Tensor(obs).to(device))
        actions = actions.cpu().numpy()
    obs, rewards, terminations, truncations, infos = envs.step(actions)
inside = lambda x: q_network.get_action(x)[0]
"""
)

C51_IN_TWO = (
    C51[: C51.index("    def get_action")]
    + """
    def forward(self, obs):
        return self.network(obs.flatten(1)).view(len(obs), self.n, self.n_atoms).softmax(dim=2)

    def q_values(self, probabilities):
        return (probabilities * self.atoms).sum(dim=-1)

"""
    + C51[C51.index("q_network = QNetwork(") :]
    .replace("actions, pmf = q_network.get_action(", "probabilities = q_network(")
    .replace("actions = actions.cpu()", "actions = q_network.q_values(probabilities).argmax(dim=1).cpu()")
    .replace("q_network.get_action(x)[0]", "q_network.q_values(q_network(x)).argmax(1)")
)

PPO_CONTINUOUS = (
    _BEGIN
    + _NORMALISED
    + """
class Agent(nn.Module):
    def __init__(self, rpo_alpha):
        super().__init__()
        self.rpo_alpha = rpo_alpha
        self.critic = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        self.actor_mean = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        self.actor_logstd = nn.Parameter(torch.zeros(1, 1))

    def get_action_and_value(self, x, action=None):
        action_mean = self.actor_mean(x)
        action_logstd = self.actor_logstd.expand_as(action_mean)
        action_std = torch.exp(action_logstd)
        probs = Normal(action_mean, action_std)
        if action is None:
            action = probs.sample()
        return action, probs.log_prob(action).sum(1), probs.entropy().sum(1), self.critic(x)

agent = Agent(0.5).to(device)
with torch.no_grad():
    agent.actor_mean[2].weight.mul_(9.0)  # so that some actions are out of bounds
optimizer = torch.optim.Adam(agent.parameters())
next_obs, _ = envs.reset(seed=1)
next_obs = torch.Tensor(next_obs).to(device)
for step in range(30):
    with torch.no_grad():
        action, logprob, _, value = agent.get_action_and_value(next_obs)
    next_obs, reward, terminations, truncations, infos = envs.step(action.cpu().numpy())
    next_obs = torch.Tensor(next_obs).to(device)
inside = lambda x: agent.actor_mean(x).clamp(-2, 2)
"""
)

RPO = PPO_CONTINUOUS.replace(
    "            action = probs.sample()\n        return",
    """            action = probs.sample()
        else:
            z = torch.FloatTensor(action_mean.shape).uniform_(-self.rpo_alpha, self.rpo_alpha).to(device)
            action_mean = action_mean + z
            probs = Normal(action_mean, action_std)
        return""",
)

_ACTOR = """
class Actor(nn.Module):
    def __init__(self, env):
        super().__init__()
        self.fc1 = nn.Linear(3, 8)
        self.fc_mu = nn.Linear(8, 1)
        high, low = env.action_space.high, env.action_space.low
        self.register_buffer("action_scale", torch.tensor((high - low) / 2.0 * 0.7, dtype=torch.float32))
        self.register_buffer("action_bias", torch.tensor((high + low) / 2.0 + 0.1, dtype=torch.float32))

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = torch.tanh(self.fc_mu(x))
        return x * self.action_scale + self.action_bias

"""

TD3 = (
    _BEGIN
    + _BOUNDED
    + _ACTOR.replace("env.action_space", "env.single_action_space")
    + """
actor = Actor(envs).to(device)
target_actor = Actor(envs).to(device)
actor_optimizer = torch.optim.Adam(list(actor.parameters()))
obs, _ = envs.reset(seed=1)
for global_step in range(5):
    if global_step < 2:
        actions = np.array([envs.single_action_space.sample() for _ in range(envs.num_envs)])
    else:
        with torch.no_grad():
            actions = actor(torch.Tensor(obs).to(device))
            actions += torch.normal(0, actor.action_scale * 0.1)
            actions = actions.cpu().numpy().clip(envs.single_action_space.low, envs.single_action_space.high)
    next_obs, rewards, terminations, truncations, infos = envs.step(actions)
    obs = next_obs
inside = actor
"""
)

DDPG = TD3.replace(
    "env.single_action_space.high, env.single_action_space.low", "env.action_space.high, env.action_space.low"
)
DDPG = DDPG.replace("SyncVectorEnv([make_env, make_env]", "SyncVectorEnv([make_env]")

SAC = (
    _BEGIN
    + _BOUNDED
    + """
LOG_STD_MAX = 2
LOG_STD_MIN = -5

class Actor(nn.Module):
    def __init__(self, env):
        super().__init__()
        self.fc1 = nn.Linear(3, 8)
        self.fc_mean = nn.Linear(8, 1)
        self.fc_logstd = nn.Linear(8, 1)
        high, low = env.single_action_space.high, env.single_action_space.low
        self.register_buffer("action_scale", torch.tensor((high - low) / 2.0, dtype=torch.float32))
        self.register_buffer("action_bias", torch.tensor((high + low) / 2.0, dtype=torch.float32))

    def forward(self, x):
        x = F.relu(self.fc1(x))
        mean = self.fc_mean(x)
        log_std = self.fc_logstd(x)
        log_std = torch.tanh(log_std)
        log_std = LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (log_std + 1)
        return mean, log_std

    def get_action(self, x):
        mean, log_std = self(x)
        std = log_std.exp()
        normal = torch.distributions.Normal(mean, std)
        x_t = normal.rsample()
        y_t = torch.tanh(x_t)
        action = y_t * self.action_scale + self.action_bias
        log_prob = normal.log_prob(x_t)
        log_prob -= torch.log(self.action_scale * (1 - y_t.pow(2)) + 1e-6)
        log_prob = log_prob.sum(1, keepdim=True)
        mean = torch.tanh(mean) * self.action_scale + self.action_bias
        return action, log_prob, mean

actor = Actor(envs).to(device)
actor_optimizer = torch.optim.Adam(list(actor.parameters()))
obs, _ = envs.reset(seed=1)
for global_step in range(5):
    if global_step < 2:
        actions = np.array([envs.single_action_space.sample() for _ in range(envs.num_envs)])
    else:
        actions, _, _ = actor.get_action(torch.Tensor(obs).to(device))
        actions = actions.detach().cpu().numpy()
    obs, rewards, terminations, truncations, infos = envs.step(actions)
inside = lambda x: actor.get_action(x)[2]
"""
)

FAMILIES: dict[str, tuple[str, str]] = {
    "ppo": (PPO, "categorical"),
    "dqn": (DQN, "q_values"),
    "pqn": (PQN, "q_values"),
    "c51": (C51, "q_values"),
    "c51_in_two": (C51_IN_TWO, "q_values"),
    "ppo_continuous_action": (PPO_CONTINUOUS, "gaussian"),
    "rpo_continuous_action": (RPO, "gaussian"),
    "td3_continuous_action": (TD3, "deterministic"),
    "ddpg_continuous_action": (DDPG, "deterministic"),
    "sac_continuous_action": (SAC, "squashed_gaussian"),
}
"""Script and kind of policy of each family."""


class Played:
    """A script that was run up to its end: its variables, and its state as a snapshot takes it."""

    def __init__(self, path: Path, source: str) -> None:
        path.write_text(source)
        self.names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(source, str(path), "exec"), self.names)
        frame: Any = SimpleNamespace(f_globals=self.names, f_locals=self.names)
        variables = Variables(frame, None)
        self.state = capture.take(variables, LiveMap(variables, script_dir=path.parent, fixed=[]))

    def describe(self) -> dict[str, Any]:
        """Return what is told of its policy."""
        return policy.describe(self.state)

    def files(self) -> tuple[dict[str, Any], bytes]:
        """Return what a checkpoint holds of its policy: all of the description, and the weights."""
        note = {"schema_version": policy.SCHEMA_VERSION, "script": "script.py", "modules": {}, "global_step": 1}
        weights = io.BytesIO()
        capture.write_weights(weights, self.state)
        return {**note, "boundary": 1, **self.describe()}, weights.getvalue()

    def deployed(self, root: Path) -> Policy:
        """Return the policy as it is deployed: from its two files alone."""
        described, weights = self.files()
        files = PolicyFiles(json.dumps(described, allow_nan=False).encode(), weights)
        files.write(root / "deployed")
        return Policy.load(root / "deployed", digest=files.digest())

    def seen(self, observations: Any) -> Any:
        """Return *observations* as the script's wrappers give them to its module, with the statistics as they are."""
        import torch

        with _frozen(self.names["envs"].envs[0]) as wrappers:
            rows = []
            for observation in observations:
                for wrapper in wrappers:
                    observation = wrapper.observation(observation)
                rows.append(np.asarray(observation, dtype=np.float32))
        return torch.from_numpy(np.stack(rows))


@contextmanager
def _frozen(env: Any) -> Iterator[list[Any]]:
    """Give the wrappers that change observations, the innermost first, while none of them learns."""
    import gymnasium

    wrappers = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.ObservationWrapper):
            wrappers.insert(0, env)
        if isinstance(env, gymnasium.wrappers.NormalizeObservation):
            env.update_running_mean = False
        env = env.env
    yield wrappers
