"""A training of one second, of CleanRL's form: it imports what these import, steps, and says when its loop began."""

import argparse
import time

import gymnasium as gym
import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--env-id", type=str, default="CartPole-v1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--total-timesteps", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)
    writer = SummaryWriter("runs/one_second")
    env = gym.make(args.env_id)
    env.reset(seed=args.seed)
    weights = torch.zeros(4, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=args.learning_rate)
    for global_step in range(args.total_timesteps):
        if global_step == 0:
            print(f"loop began at {time.time()}", flush=True)
        env.step(env.action_space.sample())
        optimizer.zero_grad()
        (weights - 1.0).square().sum().backward()
        optimizer.step()
        writer.add_scalar("losses/loss", weights.detach().sum().item(), global_step)
        time.sleep(1.0 / args.total_timesteps)
    writer.close()
    env.close()
