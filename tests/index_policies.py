"""Small scripts of families whose actions are indices, in the form in which CleanRL writes them; none trains."""

from __future__ import annotations

BEGIN = """
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

DISCRETE = """
def make_env():
    return gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1"))

envs = gym.vector.SyncVectorEnv([make_env, make_env], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
"""

PPO = (
    BEGIN
    + DISCRETE
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
    BEGIN
    + DISCRETE
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
    BEGIN
    + DISCRETE
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
