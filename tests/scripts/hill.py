"""A training that needs no torch and learns nothing: its return tells how far ``x`` is from the top of a hill."""

import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from tensorboardX import SummaryWriter


@dataclass
class Args:
    seed: int = 1
    """not used"""
    env_id: str = "CartPole-v1"
    """not used"""
    total_timesteps: int = 100
    """passes of the main loop"""
    x: float = 0.0
    """where it stands; the top is at 3"""
    cliff: float = 100.0
    """from where on it raises"""
    sleep_s: float = 0.005
    """seconds that each pass takes"""
    hurry: str = ""
    """file that, once it is there, makes each pass take no time"""


class Walker:
    def __init__(self, x):
        self.x = x
        self.height = 0.0

    def step(self):
        self.height = 10.0 - (self.x - 3.0) ** 2


if __name__ == "__main__":
    args = tyro.cli(Args)
    walker = Walker(args.x)
    writer = SummaryWriter("runs/hill")
    for global_step in range(args.total_timesteps):
        if args.x >= args.cliff:
            raise ValueError(f"{args.x} lies beyond the cliff")
        walker.step()
        writer.add_scalar("losses/depth", -walker.height, global_step)
        if global_step % 5 == 0:
            writer.add_scalar("charts/episodic_return", walker.height, global_step)
        if not (args.hurry and Path(args.hurry).exists()):
            time.sleep(args.sleep_s)
    writer.close()
