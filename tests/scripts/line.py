"""A training in CleanRL's form that needs no environment: one weight is moved towards 3, its distance is the return."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch.utils.tensorboard import SummaryWriter


@dataclass
class Args:
    seed: int = 1
    """seed of every generator"""
    env_id: str = "CartPole-v1"
    """not used"""
    total_timesteps: int = 400
    """passes of the main loop"""
    learning_rate: float = 0.01
    """learning rate of SGD"""
    noise: float = 0.0
    """added to each return"""
    width: int = 1
    """weights of the model"""
    sleep_s: float = 0.005
    """seconds that each pass takes"""
    hurry: str = ""
    """file that, once it is there, makes each pass take no time"""
    diverge_above: float = 1.0
    """learning rate above which the return is not a number"""


if __name__ == "__main__":
    args = tyro.cli(Args)
    random.seed(args.seed)
    torch.manual_seed(args.seed)
    agent = torch.nn.Linear(args.width, 1, bias=False)
    optimizer = torch.optim.SGD(agent.parameters(), lr=args.learning_rate)
    writer = SummaryWriter("runs/line")
    for global_step in range(args.total_timesteps):
        loss = ((agent.weight - 3.0) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        episodic_return = 100.0 - 10.0 * loss.item() + args.noise * random.random()
        if args.learning_rate > args.diverge_above:
            episodic_return = float("nan")
        if global_step % 5 == 0:
            writer.add_scalar("charts/episodic_return", episodic_return, global_step)
        writer.add_scalar("losses/weight", agent.weight.mean().item(), global_step)
        writer.add_scalar("charts/learning_rate", optimizer.param_groups[0]["lr"], global_step)
        if not (args.hurry and Path(args.hurry).exists()):
            time.sleep(args.sleep_s)
    writer.close()
