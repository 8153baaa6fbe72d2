"""A training that tells on which cores it runs, and a process that it forks."""

import json
import os
from dataclasses import dataclass

import tyro


@dataclass
class Args:
    seed: int = 1
    """seed of the generator"""
    env_id: str = "CartPole-v1"
    """not used"""
    cuda: bool = True
    """whether a GPU would be used"""
    total_timesteps: int = 10
    """passes of the main loop"""


class Counter:
    def __init__(self):
        self.passes = 0

    def update(self, global_step):
        self.passes = global_step + 1


def cores():
    return json.dumps(sorted(os.sched_getaffinity(0)))


if __name__ == "__main__":
    args = tyro.cli(Args)
    counter = Counter()
    for global_step in range(args.total_timesteps):
        counter.update(global_step)
    print("own", cores(), flush=True)
    child = os.fork()
    if child == 0:
        print("forked", cores(), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
