"""Proximal policy optimisation (Schulman et al., 2017) for continuous actions, in one file and in CleanRL's form."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
import torch.nn as nn
import tyro
from torch.distributions import Independent, Normal
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
    """learning rate of Adam"""
    num_envs: int = 1
    """environments stepped side by side"""
    num_steps: int = 2048
    """steps of each environment between two updates"""
    anneal_lr: bool = True
    """whether the learning rate falls linearly to zero over the training"""
    gamma: float = 0.99
    """discount per step"""
    gae_lambda: float = 0.95
    """lambda of generalised advantage estimation"""
    num_minibatches: int = 32
    """minibatches into which a batch is cut"""
    update_epochs: int = 10
    """passes over each batch"""
    norm_adv: bool = True
    """whether advantages are normalised in each minibatch"""
    clip_coef: float = 0.2
    """how far the probability ratio may move from 1 before it is clipped"""
    clip_vloss: bool = True
    """whether the value loss is clipped as the policy loss is"""
    ent_coef: float = 0.0
    """weight of the entropy bonus"""
    vf_coef: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float = 0.5
    """gradients are scaled down to this norm"""
    target_kl: float | None = None
    """no further pass over a batch once the policy has moved this far (KL divergence)"""

    batch_size: int = 0
    """steps in a batch (computed: num_envs * num_steps)"""
    minibatch_size: int = 0
    """steps in a minibatch (computed: batch_size // num_minibatches)"""
    num_iterations: int = 0
    """batches in the training (computed: total_timesteps // batch_size)"""


def make_env(env_id, index, capture_video, run_name, seed, gamma):
    def thunk():
        if capture_video and index == 0:
            env = gym.wrappers.RecordVideo(gym.make(env_id, render_mode="rgb_array"), f"videos/{run_name}")
        else:
            env = gym.make(env_id)
        if not isinstance(env.action_space, gym.spaces.Box):
            raise SystemExit(f"this script needs continuous actions; {env_id} has {env.action_space}")
        env = gym.wrappers.RecordEpisodeStatistics(env)
        env = gym.wrappers.ClipAction(env)
        # scaled by what was seen so far
        env = gym.wrappers.NormalizeObservation(env)
        env = gym.wrappers.TransformObservation(env, lambda obs: np.clip(obs, -10, 10), env.observation_space)
        env = gym.wrappers.NormalizeReward(env, gamma=gamma)
        env = gym.wrappers.TransformReward(env, lambda reward: float(np.clip(reward, -10, 10)))
        env.action_space.seed(seed + index)
        return env

    return thunk


def orthogonal(layer, gain=2**0.5):
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def network(inputs, outputs, last_gain):
    return nn.Sequential(
        orthogonal(nn.Linear(inputs, 64)),
        nn.Tanh(),
        orthogonal(nn.Linear(64, 64)),
        nn.Tanh(),
        orthogonal(nn.Linear(64, outputs), last_gain),
    )


class Agent(nn.Module):
    def __init__(self, envs):
        super().__init__()
        inputs = int(np.prod(envs.single_observation_space.shape))
        outputs = int(np.prod(envs.single_action_space.shape))
        self.critic = network(inputs, 1, last_gain=1.0)
        self.actor_mean = network(inputs, outputs, last_gain=0.01)
        self.actor_logstd = nn.Parameter(torch.zeros(1, outputs))

    def value(self, obs):
        return self.critic(obs.flatten(1)).squeeze(-1)

    def policy(self, obs):
        mean = self.actor_mean(obs.flatten(1))
        return Independent(Normal(mean, self.actor_logstd.expand_as(mean).exp()), 1)


def advantages_of(rewards, values, dones, next_value, gamma, gae_lambda):
    """Generalised advantage estimation (Schulman et al., 2016); dones[t] says that the episode ended with step t."""
    advantages = torch.zeros_like(rewards)
    running = torch.zeros_like(next_value)
    for t in range(len(rewards) - 1, -1, -1):
        goes_on = 1.0 - dones[t]
        delta = rewards[t] + gamma * next_value * goes_on - values[t]
        running = delta + gamma * gae_lambda * goes_on * running
        advantages[t] = running
        next_value = values[t]
    return advantages


if __name__ == "__main__":
    args = tyro.cli(Args)
    if min(args.num_envs, args.num_steps, args.num_minibatches, args.update_epochs) < 1:
        raise SystemExit("num_envs, num_steps, num_minibatches and update_epochs must be at least 1")
    args.batch_size = args.num_envs * args.num_steps
    args.minibatch_size = args.batch_size // args.num_minibatches
    args.num_iterations = args.total_timesteps // args.batch_size
    if args.num_iterations < 1:
        raise SystemExit(f"total_timesteps {args.total_timesteps} is less than one batch of {args.batch_size} steps")
    if args.minibatch_size < 1:
        raise SystemExit(f"a batch of {args.batch_size} steps cannot be cut into {args.num_minibatches} minibatches")

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
        [make_env(args.env_id, i, args.capture_video, run_name, args.seed, args.gamma) for i in range(args.num_envs)],
        autoreset_mode=gym.vector.AutoresetMode.SAME_STEP,
    )

    agent = Agent(envs).to(device)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)

    obs = torch.zeros((args.num_steps, args.num_envs, *envs.single_observation_space.shape), device=device)
    actions = torch.zeros((args.num_steps, args.num_envs, *envs.single_action_space.shape), device=device)
    logprobs = torch.zeros((args.num_steps, args.num_envs), device=device)
    rewards = torch.zeros((args.num_steps, args.num_envs), device=device)
    dones = torch.zeros((args.num_steps, args.num_envs), device=device)
    values = torch.zeros((args.num_steps, args.num_envs), device=device)

    global_step = 0
    start_time = time.time()
    first_obs, _ = envs.reset(seed=args.seed)
    next_obs = torch.tensor(first_obs, dtype=torch.float32, device=device)

    for iteration in range(1, args.num_iterations + 1):
        if args.anneal_lr:
            remaining = 1.0 - (iteration - 1.0) / args.num_iterations
            optimizer.param_groups[0]["lr"] = remaining * args.learning_rate

        # One batch of experience.
        for step in range(args.num_steps):
            global_step += args.num_envs
            with torch.no_grad():
                distribution = agent.policy(next_obs)
                action = distribution.sample()
                obs[step] = next_obs
                actions[step] = action
                logprobs[step] = distribution.log_prob(action)
                values[step] = agent.value(next_obs)

            arrived, reward, terminated, truncated, infos = envs.step(action.cpu().numpy())
            rewards[step] = torch.tensor(reward, dtype=torch.float32, device=device)
            dones[step] = torch.tensor(terminated | truncated, dtype=torch.float32, device=device)
            next_obs = torch.tensor(arrived, dtype=torch.float32, device=device)

            # An episode that only ran out of time is still worth what its last observation promises.
            for i in np.flatnonzero(truncated & ~terminated):
                last_obs = torch.tensor(infos["final_obs"][i], dtype=torch.float32, device=device)
                with torch.no_grad():
                    rewards[step, i] += args.gamma * agent.value(last_obs.unsqueeze(0))[0]

            if "final_info" in infos and "episode" in infos["final_info"]:
                episode = infos["final_info"]["episode"]
                for i in np.flatnonzero(infos["final_info"]["_episode"]):
                    print(f"global_step={global_step}, episodic_return={episode['r'][i]}")
                    writer.add_scalar("charts/episodic_return", episode["r"][i], global_step)
                    writer.add_scalar("charts/episodic_length", episode["l"][i], global_step)

        with torch.no_grad():
            next_value = agent.value(next_obs)
        advantages = advantages_of(rewards, values, dones, next_value, args.gamma, args.gae_lambda)
        returns = advantages + values

        b_obs = obs.flatten(0, 1)
        b_actions = actions.flatten(0, 1)
        b_logprobs = logprobs.flatten()
        b_advantages = advantages.flatten()
        b_returns = returns.flatten()
        b_values = values.flatten()

        # A few passes over the batch, in shuffled minibatches.
        clip_fractions = []
        for _epoch in range(args.update_epochs):
            order = np.random.permutation(args.batch_size)
            for start in range(0, args.batch_size, args.minibatch_size):
                rows = order[start : start + args.minibatch_size]
                distribution = agent.policy(b_obs[rows])
                log_ratio = distribution.log_prob(b_actions[rows]) - b_logprobs[rows]
                ratio = log_ratio.exp()
                with torch.no_grad():
                    # Two estimates of the KL divergence: http://joschu.net/blog/kl-approx.html
                    old_approx_kl = (-log_ratio).mean()
                    approx_kl = (ratio - 1.0 - log_ratio).mean()
                    clip_fractions.append(((ratio - 1.0).abs() > args.clip_coef).float().mean().item())

                advantage = b_advantages[rows]
                if args.norm_adv and len(rows) > 1:
                    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                clipped_ratio = ratio.clamp(1.0 - args.clip_coef, 1.0 + args.clip_coef)
                policy_loss = -torch.min(advantage * ratio, advantage * clipped_ratio).mean()

                new_value = agent.value(b_obs[rows])
                value_error = (new_value - b_returns[rows]) ** 2
                if args.clip_vloss:
                    moved = (new_value - b_values[rows]).clamp(-args.clip_coef, args.clip_coef)
                    value_error = torch.max(value_error, (b_values[rows] + moved - b_returns[rows]) ** 2)
                value_loss = 0.5 * value_error.mean()

                entropy = distribution.entropy().mean()
                loss = policy_loss + args.vf_coef * value_loss - args.ent_coef * entropy
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
                optimizer.step()
            if args.target_kl is not None and approx_kl > args.target_kl:
                break

        return_variance = b_returns.var(unbiased=False).item()
        residual_variance = (b_returns - b_values).var(unbiased=False).item()
        explained_variance = 1.0 - residual_variance / return_variance if return_variance > 0 else float("nan")
        sps = int(global_step / (time.time() - start_time))
        print("SPS:", sps)
        writer.add_scalar("charts/learning_rate", optimizer.param_groups[0]["lr"], global_step)
        writer.add_scalar("charts/SPS", sps, global_step)
        writer.add_scalar("losses/value_loss", value_loss.item(), global_step)
        writer.add_scalar("losses/policy_loss", policy_loss.item(), global_step)
        writer.add_scalar("losses/entropy", entropy.item(), global_step)
        writer.add_scalar("losses/old_approx_kl", old_approx_kl.item(), global_step)
        writer.add_scalar("losses/approx_kl", approx_kl.item(), global_step)
        writer.add_scalar("losses/clipfrac", np.mean(clip_fractions), global_step)
        writer.add_scalar("losses/explained_variance", explained_variance, global_step)

    envs.close()
    writer.close()
