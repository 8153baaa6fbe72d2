"""An offline training in CORL's form: a configuration, a trainer of its own class, batches of data that are there."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn as nn
import tyro
from tensorboardX import SummaryWriter
from torch.optim.lr_scheduler import CosineAnnealingLR


@dataclass
class TrainConfig:
    seed: int = 0
    """seed of everything"""
    max_timesteps: int = 60
    """updates"""
    batch_size: int = 16
    """transitions of an update"""
    hidden_dim: int = 8
    """width of the networks"""
    discount: float = 0.99
    """of later rewards"""
    tau: float = 0.005
    """how far the target follows"""
    actor_lr: float = 3e-3
    """learning rate that a schedule lowers"""
    critic_lr: float = 3e-3
    """learning rate"""
    log_every: int = 1
    """updates between two lines of the log"""


class Trainer:
    def __init__(self, actor, actor_optimizer, critic, critic_optimizer, max_steps, discount=0.9, tau=0.1):
        self.actor = actor
        self.actor_optimizer = actor_optimizer
        self.actor_schedule = CosineAnnealingLR(self.actor_optimizer, max_steps)
        self.critic = critic
        self.target = network(critic[0].in_features, critic[0].out_features, 1)
        self.target.load_state_dict(critic.state_dict())
        self.critic_optimizer = critic_optimizer
        self.discount = discount
        self.tau = tau
        self.total_it = 0

    def train(self, batch):
        self.total_it += 1
        states, actions, rewards, next_states = batch
        with torch.no_grad():
            following = self.target(torch.cat([next_states, self.actor(next_states)], 1))
            wanted = rewards + self.discount * following
        critic_loss = (self.critic(torch.cat([states, actions], 1)) - wanted).pow(2).mean()
        self.critic_optimizer.zero_grad()
        critic_loss.backward()
        self.critic_optimizer.step()
        actor_loss = (self.actor(states) - actions).pow(2).mean()
        self.actor_optimizer.zero_grad()
        actor_loss.backward()
        self.actor_optimizer.step()
        self.actor_schedule.step()
        with torch.no_grad():
            for ours, theirs in zip(self.target.parameters(), self.critic.parameters(), strict=True):
                ours.mul_(1 - self.tau).add_(theirs, alpha=self.tau)
        return {"critic_loss": critic_loss.item(), "size": len(states), "discount": self.discount, "tau": self.tau}


def network(inputs, width, outputs):
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))


def announce(config):
    print("training with", config)


def train(config: TrainConfig):
    torch.manual_seed(config.seed)
    generator = np.random.default_rng(0)
    data = [torch.tensor(generator.standard_normal((256, size)), dtype=torch.float32) for size in (3, 2, 1, 3)]
    actor = network(3, config.hidden_dim, 2)
    critic = network(5, config.hidden_dim, 1)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=config.actor_lr)
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=config.critic_lr)
    kwargs = {
        "actor": actor,
        "actor_optimizer": actor_optimizer,
        "critic": critic,
        "critic_optimizer": critic_optimizer,
        "max_steps": config.max_timesteps,
        "discount": config.discount,
        "tau": config.tau,
    }
    trainer = Trainer(**kwargs)
    announce(asdict(config))
    writer = SummaryWriter("runs/offline")
    for t in range(int(config.max_timesteps)):
        rows = torch.randint(0, 256, (config.batch_size,))
        log = trainer.train([one[rows] for one in data])
        if (t + 1) % config.log_every == 0:
            log["actor_lr"] = trainer.actor_optimizer.param_groups[0]["lr"]
            log["critic_lr"] = trainer.critic_optimizer.param_groups[0]["lr"]
            for name, value in log.items():
                writer.add_scalar(name, value, t)


if __name__ == "__main__":
    train(tyro.cli(TrainConfig))
