"""Twin delayed deep deterministic policy gradient (TD3; Fujimoto et al., 2018), in one file and in CleanRL's form."""

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

    env_id: str = "Pendulum-v1"
    """id of the environment"""
    total_timesteps: int = 1000000
    """environment steps of the whole training, all environments together"""
    learning_rate: float = 3e-4
    """learning rate of both Adams"""
    num_envs: int = 1
    """environments stepped side by side"""
    buffer_size: int = 1000000
    """transitions that the replay buffer keeps"""
    gamma: float = 0.99
    """discount per step"""
    tau: float = 0.005
    """how far the target networks move towards the networks at each update of them; 1 copies them"""
    batch_size: int = 256
    """transitions in one gradient step"""
    policy_noise: float = 0.2
    """deviation of the noise on the actions of the target actor, as a part of their range"""
    noise_clip: float = 0.5
    """that noise is cut off here"""
    exploration_noise: float = 0.1
    """deviation of the noise on the actions that are taken, as a part of their range"""
    learning_starts: int = 25000
    """steps before the first gradient step, with random actions"""
    policy_frequency: int = 2
    """steps between two updates of the actor and of the target networks"""


def make_env(env_id, index, capture_video, run_name, seed):
    def thunk():
        if capture_video and index == 0:
            env = gym.wrappers.RecordVideo(gym.make(env_id, render_mode="rgb_array"), f"videos/{run_name}")
        else:
            env = gym.make(env_id)
        if not isinstance(env.action_space, gym.spaces.Box) or not env.action_space.is_bounded():
            raise SystemExit(f"this script needs continuous actions within bounds; {env_id} has {env.action_space}")
        env = gym.wrappers.RecordEpisodeStatistics(env)
        env.action_space.seed(seed + index)
        return env

    return thunk


class Critic(nn.Module):
    def __init__(self, envs):
        super().__init__()
        inputs = int(np.prod(envs.single_observation_space.shape) + np.prod(envs.single_action_space.shape))
        self.fc1 = nn.Linear(inputs, 256)
        self.fc2 = nn.Linear(256, 256)
        self.fc3 = nn.Linear(256, 1)

    def forward(self, obs, actions):
        hidden = F.relu(self.fc1(torch.cat([obs.flatten(1), actions], dim=1)))
        hidden = F.relu(self.fc2(hidden))
        return self.fc3(hidden).squeeze(1)


class Actor(nn.Module):
    """An action for an observation, squashed by tanh into the range of the actions."""

    def __init__(self, envs):
        super().__init__()
        inputs = int(np.prod(envs.single_observation_space.shape))
        outputs = int(np.prod(envs.single_action_space.shape))
        self.fc1 = nn.Linear(inputs, 256)
        self.fc2 = nn.Linear(256, 256)
        self.fc_mu = nn.Linear(256, outputs)
        low, high = map(torch.tensor, (envs.single_action_space.low, envs.single_action_space.high))
        self.register_buffer("action_scale", (high - low).float() / 2.0)
        self.register_buffer("action_bias", (high + low).float() / 2.0)

    def forward(self, obs):
        hidden = F.relu(self.fc1(obs.flatten(1)))
        hidden = F.relu(self.fc2(hidden))
        return torch.tanh(self.fc_mu(hidden)) * self.action_scale + self.action_bias

    def bounded(self, actions):
        return torch.clamp(actions, self.action_bias - self.action_scale, self.action_bias + self.action_scale)


class ReplayBuffer:
    """The latest transitions, in a ring of arrays."""

    def __init__(self, capacity, obs_shape, action_shape):
        self.capacity = capacity
        self.obs = np.zeros((capacity, *obs_shape), dtype=np.float32)
        self.next_obs = np.zeros((capacity, *obs_shape), dtype=np.float32)
        self.actions = np.zeros((capacity, *action_shape), dtype=np.float32)
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


def move_towards(target, source, tau):
    with torch.no_grad():
        for slow, fast in zip(target.parameters(), source.parameters(), strict=True):
            slow.lerp_(fast, tau)


if __name__ == "__main__":
    args = tyro.cli(Args)
    if min(args.num_envs, args.buffer_size, args.batch_size, args.policy_frequency) < 1:
        raise SystemExit("num_envs, buffer_size, batch_size and policy_frequency must be at least 1")
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

    actor, target_actor = Actor(envs).to(device), Actor(envs).to(device)
    qf1, qf2 = Critic(envs).to(device), Critic(envs).to(device)
    qf1_target, qf2_target = Critic(envs).to(device), Critic(envs).to(device)
    target_actor.load_state_dict(actor.state_dict())
    qf1_target.load_state_dict(qf1.state_dict())
    qf2_target.load_state_dict(qf2.state_dict())
    q_optimizer = torch.optim.Adam([*qf1.parameters(), *qf2.parameters()], lr=args.learning_rate)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=args.learning_rate)
    buffer = ReplayBuffer(args.buffer_size, envs.single_observation_space.shape, envs.single_action_space.shape)

    actor_loss = torch.tensor(float("nan"))  # until the first update
    start_time = time.time()
    obs, _ = envs.reset(seed=args.seed)

    for global_step in range(0, args.total_timesteps, args.num_envs):
        if global_step < args.learning_starts:
            low, high = envs.single_action_space.low, envs.single_action_space.high
            actions = np.random.uniform(low, high, size=envs.action_space.shape).astype(np.float32)
        else:
            with torch.no_grad():
                greedy = actor(torch.as_tensor(obs, dtype=torch.float32, device=device))
                noise = torch.randn_like(greedy) * args.exploration_noise * actor.action_scale
                actions = actor.bounded(greedy + noise).cpu().numpy()

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
            b_obs, b_next_obs, b_actions, b_rewards, b_terminated = buffer.sample(args.batch_size, device)
            with torch.no_grad():
                noise = (torch.randn_like(b_actions) * args.policy_noise).clamp(-args.noise_clip, args.noise_clip)
                next_actions = target_actor.bounded(target_actor(b_next_obs) + noise * target_actor.action_scale)
                worse = torch.min(qf1_target(b_next_obs, next_actions), qf2_target(b_next_obs, next_actions))
                targets = b_rewards + args.gamma * (1.0 - b_terminated) * worse
            qf1_values, qf2_values = qf1(b_obs, b_actions), qf2(b_obs, b_actions)
            qf1_loss, qf2_loss = F.mse_loss(qf1_values, targets), F.mse_loss(qf2_values, targets)
            qf_loss = qf1_loss + qf2_loss
            q_optimizer.zero_grad()
            qf_loss.backward()
            q_optimizer.step()

            if global_step % args.policy_frequency < args.num_envs:
                actor_loss = -qf1(b_obs, actor(b_obs)).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
                move_towards(target_actor, actor, args.tau)
                move_towards(qf1_target, qf1, args.tau)
                move_towards(qf2_target, qf2, args.tau)

            if global_step % 100 < args.num_envs:
                sps = int(global_step / (time.time() - start_time))
                print("SPS:", sps)
                writer.add_scalar("losses/qf1_values", qf1_values.mean().item(), global_step)
                writer.add_scalar("losses/qf2_values", qf2_values.mean().item(), global_step)
                writer.add_scalar("losses/qf1_loss", qf1_loss.item(), global_step)
                writer.add_scalar("losses/qf2_loss", qf2_loss.item(), global_step)
                writer.add_scalar("losses/qf_loss", qf_loss.item() / 2.0, global_step)
                writer.add_scalar("losses/actor_loss", actor_loss.item(), global_step)
                writer.add_scalar("charts/SPS", sps, global_step)

    envs.close()
    writer.close()
