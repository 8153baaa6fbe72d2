"""An actor-critic that looks at pixels: convolutions, and a layer of its own. Trains in a few seconds."""

import json
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import spots  # registers the environment
import torch
import torch.nn as nn
import tyro
from torch.distributions.categorical import Categorical


@dataclass
class Args:
    seed: int = 1
    """seed of everything"""
    env_id: str = "Spots-v0"
    """the environment"""
    cuda: bool = True
    """not used"""
    total_timesteps: int = 1600
    """environment steps"""
    num_envs: int = 8
    """environments side by side"""
    episodes: int = 0
    """episodes to play at the end, their returns go to inside.json"""


class Residual(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.inner = nn.Linear(size, size)

    def forward(self, x):
        return x + torch.relu(self.inner(x)) * torch.sigmoid(x)


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        size = 8 * (spots.SIZE // 2 - 1) ** 2
        self.network = nn.Sequential(
            nn.Conv2d(1, 8, 4, stride=2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1), nn.Linear(size, 32), Residual(32)
        )
        self.actor = nn.Linear(32, 4)
        self.critic = nn.Linear(32, 1)

    def get_action_and_value(self, x, action=None):
        hidden = self.network(x.unsqueeze(1) / 255.0 - 0.4)
        probs = Categorical(logits=self.actor(hidden))
        if action is None:
            action = probs.sample()
        return action, probs.log_prob(action), probs.entropy(), self.critic(hidden)


def play(agent, env_id, episodes):
    """Play with the most likely actions."""
    agent.eval()
    env, returns = gym.make(env_id), []
    for seed in range(episodes):
        pixels, _ = env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            hidden = agent.network(torch.as_tensor(pixels, dtype=torch.float32)[None, None] / 255.0 - 0.4)
            pixels, reward, terminated, truncated, _ = env.step(int(agent.actor(hidden).argmax()))
            total, over = total + reward, terminated or truncated
        returns.append(total)
    return returns


if __name__ == "__main__":
    args = tyro.cli(Args)
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    device = torch.device("cpu")
    envs = gym.vector.SyncVectorEnv([lambda: gym.make(args.env_id) for _ in range(args.num_envs)])
    agent = Agent().to(device)
    optimizer = torch.optim.Adam(agent.parameters(), lr=3e-3)
    next_obs, _ = envs.reset(seed=args.seed)
    next_obs = torch.Tensor(next_obs).to(device)
    global_step = 0
    for _ in range(args.total_timesteps // args.num_envs):
        action, logprob, entropy, value = agent.get_action_and_value(next_obs)
        next_obs, reward, terminations, truncations, infos = envs.step(action.cpu().numpy())
        next_obs = torch.Tensor(next_obs).to(device)
        global_step += args.num_envs
        advantage = torch.Tensor(reward) - value.flatten()
        loss = -(logprob * advantage.detach()).mean() + advantage.pow(2).mean() - 0.01 * entropy.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if args.episodes:
        Path("inside.json").write_text(json.dumps(play(agent, args.env_id, args.episodes)))
