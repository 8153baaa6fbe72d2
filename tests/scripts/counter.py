"""A training that needs no torch: a main loop, scalars, episodes, a seeded generator. Starts in a moment."""

import os
import random
import sys
import time
from dataclasses import dataclass

import tyro
from tensorboardX import SummaryWriter


@dataclass
class Args:
    seed: int = 1
    """seed of the generator"""
    env_id: str = "CartPole-v1"
    """not used"""
    cuda: bool = True
    """whether a GPU would be used"""
    total_timesteps: int = 300
    """passes of the main loop"""
    sleep_s: float = 0.005
    """seconds that each pass takes"""
    hurry: str = ""
    """file that, once it is there, makes each pass take no time"""
    raise_at: int = -1
    """pass at which it raises"""
    children: int = 0
    """processes that it starts and leaves behind"""


class Learner:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.weight = 0.0

    def update(self):
        self.weight = 0.9 * self.weight + self.random.random()


if __name__ == "__main__":
    args = tyro.cli(Args)
    learner = Learner(args.seed)
    writer = SummaryWriter("runs/counter")
    print("devices", repr(os.environ.get("CUDA_VISIBLE_DEVICES")), "threads", os.environ["OMP_NUM_THREADS"], flush=True)
    for _ in range(args.children):
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
    for global_step in range(args.total_timesteps):
        if global_step == args.raise_at:
            raise ValueError("this pass was to raise")
        learner.update()
        writer.add_scalar("losses/weight", learner.weight, global_step)
        if global_step % 10 == 0:
            writer.add_scalar("charts/episodic_return", learner.weight, global_step)
        if not os.access(args.hurry, os.F_OK):
            time.sleep(args.sleep_s)
    print("done", learner.weight, file=sys.stderr)
    writer.close()
