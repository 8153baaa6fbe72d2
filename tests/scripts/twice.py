"""A training whose main loop is entered twice."""

import random
from dataclasses import dataclass

import tyro


@dataclass
class Args:
    seed: int = 1
    """seed of the generator"""
    env_id: str = "CartPole-v1"
    """not used"""


class Learner:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.weight = 0.0

    def update(self):
        self.weight = 0.9 * self.weight + self.random.random()


def train(learner):
    for _ in range(100):
        learner.update()


if __name__ == "__main__":
    args = tyro.cli(Args)
    learner = Learner(args.seed)
    train(learner)
    train(learner)
    print("weight", learner.weight)
