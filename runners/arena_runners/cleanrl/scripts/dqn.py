"""Deep Q-learning (Mnih et al., 2015) for discrete actions, in one file and in CleanRL's form."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
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
    buffer_size: int = 10000
    """transitions that the replay buffer keeps"""
    gamma: float = 0.99
    """discount per step"""
    tau: float = 1.0
    """how far the target network moves towards the network at each update of it; 1 copies it"""
    target_network_frequency: int = 500
    """steps between two updates of the target network"""
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
    def __init__(self, envs):
        super().__init__()
        inputs = int(np.prod(envs.single_observation_space.shape))
        self.network = nn.Sequential(
            nn.Linear(inputs, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, int(envs.single_action_space.n)),
        )

    def forward(self, obs):
        return self.network(obs.flatten(1))


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

    q_network = QNetwork(envs).to(device)
    target_network = QNetwork(envs).to(device)
    target_network.load_state_dict(q_network.state_dict())
    optimizer = torch.optim.Adam(q_network.parameters(), lr=args.learning_rate)
    buffer = ReplayBuffer(args.buffer_size, envs.single_observation_space.shape)

    start_time = time.time()
    obs, _ = envs.reset(seed=args.seed)

    for global_step in range(0, args.total_timesteps, args.num_envs):
        epsilon = epsilon_at(global_step, args.start_e, args.end_e, args.exploration_fraction * args.total_timesteps)
        if random.random() < epsilon:
            actions = np.random.randint(0, int(envs.single_action_space.n), size=args.num_envs)
        else:
            with torch.no_grad():
                q_values = q_network(torch.as_tensor(obs, dtype=torch.float32, device=device))
            actions = q_values.argmax(dim=1).cpu().numpy()

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
                with torch.no_grad():
                    best_next = target_network(b_next_obs).max(dim=1).values
                    targets = b_rewards + args.gamma * best_next * (1.0 - b_terminated)
                predictions = q_network(b_obs).gather(1, b_actions.unsqueeze(1)).squeeze(1)
                loss = F.mse_loss(predictions, targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

                if global_step % 100 < args.num_envs:
                    sps = int(global_step / (time.time() - start_time))
                    print("SPS:", sps)
                    writer.add_scalar("losses/td_loss", loss.item(), global_step)
                    writer.add_scalar("losses/q_values", predictions.mean().item(), global_step)
                    writer.add_scalar("charts/SPS", sps, global_step)

            if global_step % args.target_network_frequency < args.num_envs:
                with torch.no_grad():
                    for target, source in zip(target_network.parameters(), q_network.parameters(), strict=True):
                        target.copy_(args.tau * source + (1.0 - args.tau) * target)

    envs.close()
    writer.close()
