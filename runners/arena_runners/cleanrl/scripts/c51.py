"""Categorical deep Q-learning (C51; Bellemare et al., 2017) for discrete actions, in one file and in CleanRL's form."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
import torch.nn as nn
import tyro
from torch.utils.tensorboard import SummaryWriter


@dataclass
class Args:
    exp_name: str = Path(__file__).stem
    """name of this experiment, a part of the run's name"""
    seed: int = 1
    """seed of every random generator"""
    torch_deterministic: bool = True
    """whether cuDNN may only use deterministic algorithms"""
    cuda: bool = True
    """whether a GPU is used where there is one"""
    track: bool = False
    """whether the run is logged to Weights & Biases too"""
    wandb_project_name: str = "cleanRL"
    """Weights & Biases project"""
    wandb_entity: str | None = None
    """Weights & Biases team or user"""
    capture_video: bool = False
    """whether episodes of the first environment are filmed into videos/ (needs moviepy and the renderer)"""

    env_id: str = "CartPole-v1"
    """id of the environment"""
    total_timesteps: int = 500000
    """environment steps of the whole training, all environments together"""
    learning_rate: float = 2.5e-4
    """learning rate of Adam"""
    num_envs: int = 1
    """environments stepped side by side"""
    n_atoms: int = 101
    """values by which the distribution of returns is represented"""
    v_min: float = -100.0
    """smallest of these values"""
    v_max: float = 100.0
    """largest of these values"""
    buffer_size: int = 10000
    """transitions that the replay buffer keeps"""
    gamma: float = 0.99
    """discount per step"""
    target_network_frequency: int = 500
    """steps after which the target network is the network's copy again"""
    batch_size: int = 128
    """transitions in one gradient step"""
    start_e: float = 1.0
    """share of random actions at the start"""
    end_e: float = 0.05
    """share of random actions once exploration has ended"""
    exploration_fraction: float = 0.5
    """part of total_timesteps over which the share of random actions falls"""
    learning_starts: int = 10000
    """steps before the first gradient step"""
    train_frequency: int = 10
    """steps between two gradient steps"""


def make_env(env_id, index, capture_video, run_name, seed):
    def thunk():
        if capture_video and index == 0:
            env = gym.wrappers.RecordVideo(gym.make(env_id, render_mode="rgb_array"), f"videos/{run_name}")
        else:
            env = gym.make(env_id)
        env = gym.wrappers.RecordEpisodeStatistics(env)
        env.action_space.seed(seed + index)
        return env

    return thunk


class QNetwork(nn.Module):
    """For each action the probabilities of the atoms, the values that a return may have."""

    def __init__(self, envs, n_atoms, v_min, v_max):
        super().__init__()
        self.n = int(envs.single_action_space.n)
        self.n_atoms = n_atoms
        self.register_buffer("atoms", torch.linspace(v_min, v_max, n_atoms))
        inputs = int(np.prod(envs.single_observation_space.shape))
        self.network = nn.Sequential(
            nn.Linear(inputs, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, self.n * n_atoms),
        )

    def forward(self, obs):
        logits = self.network(obs.flatten(1))
        return logits.view(len(obs), self.n, self.n_atoms).softmax(dim=2)

    def q_values(self, probabilities):
        return (probabilities * self.atoms).sum(dim=-1)


class ReplayBuffer:
    """The latest transitions, in a ring of arrays."""

    def __init__(self, capacity, obs_shape):
        self.capacity = capacity
        self.obs = np.zeros((capacity, *obs_shape), dtype=np.float32)
        self.next_obs = np.zeros((capacity, *obs_shape), dtype=np.float32)
        self.actions = np.zeros(capacity, dtype=np.int64)
        self.rewards = np.zeros(capacity, dtype=np.float32)
        self.terminated = np.zeros(capacity, dtype=np.float32)
        self.position = 0
        self.size = 0

    def add(self, obs, next_obs, action, reward, terminated):
        at = self.position
        self.obs[at] = obs
        self.next_obs[at] = next_obs
        self.actions[at] = action
        self.rewards[at] = reward
        self.terminated[at] = terminated
        self.position = (at + 1) % self.capacity
        self.size = min(self.size + 1, self.capacity)

    def sample(self, count, device):
        rows = np.random.randint(0, self.size, size=count)
        columns = (self.obs, self.next_obs, self.actions, self.rewards, self.terminated)
        return [torch.as_tensor(column[rows], device=device) for column in columns]


def projected(probabilities, values, atoms):
    """The distribution with these values, as one over the atoms: each value's share goes to its two neighbours."""
    spacing = atoms[1] - atoms[0]
    place = (values.clamp(atoms[0], atoms[-1]) - atoms[0]) / spacing
    place = place.clamp(0, len(atoms) - 1)  # what rounding put beyond the last atom
    lower, upper = place.floor(), place.ceil()
    to_upper = place - lower
    found = torch.zeros_like(probabilities)
    found.scatter_add_(1, lower.long(), probabilities * (1.0 - to_upper))
    found.scatter_add_(1, upper.long(), probabilities * to_upper)
    return found


def epsilon_at(step, start_e, end_e, duration):
    progress = min(step / duration, 1.0) if duration > 0 else 1.0
    return start_e + (end_e - start_e) * progress


if __name__ == "__main__":
    args = tyro.cli(Args)
    counts = (args.num_envs, args.buffer_size, args.batch_size, args.train_frequency, args.target_network_frequency)
    if min(counts) < 1:
        raise SystemExit(
            "num_envs, buffer_size, batch_size, train_frequency and target_network_frequency must be at least 1"
        )
    if args.n_atoms < 2 or args.v_min >= args.v_max:
        raise SystemExit("n_atoms must be at least 2, and v_min less than v_max")
    if args.total_timesteps < args.num_envs:
        raise SystemExit(f"total_timesteps {args.total_timesteps} is not one step of {args.num_envs} environments")

    run_name = f"{args.env_id}__{args.exp_name}__{args.seed}__{int(time.time())}"
    if args.track:
        import wandb

        wandb.init(
            project=args.wandb_project_name,
            entity=args.wandb_entity,
            name=run_name,
            config=vars(args),
            sync_tensorboard=True,
            monitor_gym=True,
            save_code=True,
        )
    writer = SummaryWriter(f"runs/{run_name}")
    table = "".join(f"|{name}|{value}|\n" for name, value in vars(args).items())
    writer.add_text("hyperparameters", f"|param|value|\n|-|-|\n{table}")

    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    torch.backends.cudnn.deterministic = args.torch_deterministic
    device = torch.device("cuda" if args.cuda and torch.cuda.is_available() else "cpu")

    envs = gym.vector.SyncVectorEnv(
        [make_env(args.env_id, i, args.capture_video, run_name, args.seed) for i in range(args.num_envs)],
        autoreset_mode=gym.vector.AutoresetMode.SAME_STEP,
    )
    if not isinstance(envs.single_action_space, gym.spaces.Discrete):
        raise SystemExit(f"this script needs discrete actions; {args.env_id} has {envs.single_action_space}")

    q_network = QNetwork(envs, args.n_atoms, args.v_min, args.v_max).to(device)
    target_network = QNetwork(envs, args.n_atoms, args.v_min, args.v_max).to(device)
    target_network.load_state_dict(q_network.state_dict())
    optimizer = torch.optim.Adam(q_network.parameters(), lr=args.learning_rate, eps=0.01 / args.batch_size)
    buffer = ReplayBuffer(args.buffer_size, envs.single_observation_space.shape)

    start_time = time.time()
    obs, _ = envs.reset(seed=args.seed)

    for global_step in range(0, args.total_timesteps, args.num_envs):
        epsilon = epsilon_at(global_step, args.start_e, args.end_e, args.exploration_fraction * args.total_timesteps)
        if random.random() < epsilon:
            actions = np.random.randint(0, int(envs.single_action_space.n), size=args.num_envs)
        else:
            with torch.no_grad():
                probabilities = q_network(torch.as_tensor(obs, dtype=torch.float32, device=device))
            actions = q_network.q_values(probabilities).argmax(dim=1).cpu().numpy()

        arrived, rewards, terminated, truncated, infos = envs.step(actions)
        if "final_info" in infos and "episode" in infos["final_info"]:
            episode = infos["final_info"]["episode"]
            for i in np.flatnonzero(infos["final_info"]["_episode"]):
                print(f"global_step={global_step}, episodic_return={episode['r'][i]}")
                writer.add_scalar("charts/episodic_return", episode["r"][i], global_step)
                writer.add_scalar("charts/episodic_length", episode["l"][i], global_step)

        for i in range(args.num_envs):
            # Where an episode ended, `arrived` is already the first observation of the next one.
            ended = terminated[i] or truncated[i]
            next_obs = infos["final_obs"][i] if ended else arrived[i]
            buffer.add(obs[i], next_obs, actions[i], rewards[i], terminated[i])
        obs = arrived

        if global_step > args.learning_starts:
            if global_step % args.train_frequency < args.num_envs:
                b_obs, b_next_obs, b_actions, b_rewards, b_terminated = buffer.sample(args.batch_size, device)
                rows = torch.arange(args.batch_size, device=device)
                with torch.no_grad():
                    next_probabilities = target_network(b_next_obs)
                    best = target_network.q_values(next_probabilities).argmax(dim=1)
                    goes_on = (1.0 - b_terminated).unsqueeze(1)
                    values = b_rewards.unsqueeze(1) + args.gamma * goes_on * target_network.atoms
                    targets = projected(next_probabilities[rows, best], values, target_network.atoms)
                predictions = q_network(b_obs)[rows, b_actions]
                loss = -(targets * predictions.clamp(min=1e-5).log()).sum(dim=1).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

                if global_step % 100 < args.num_envs:
                    sps = int(global_step / (time.time() - start_time))
                    print("SPS:", sps)
                    writer.add_scalar("losses/loss", loss.item(), global_step)
                    writer.add_scalar("losses/q_values", q_network.q_values(predictions).mean().item(), global_step)
                    writer.add_scalar("charts/SPS", sps, global_step)

            if global_step % args.target_network_frequency < args.num_envs:
                target_network.load_state_dict(q_network.state_dict())

    envs.close()
    writer.close()
