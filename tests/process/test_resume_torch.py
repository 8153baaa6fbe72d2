"""Killed at a boundary and restored in a new process, a script ends with the same bits.

Few processes, each tried in many ways: torch is slow to import.
"""

import json

import safetensors.torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

FINGERPRINT = """
def fingerprint(**tensors):
    import hashlib
    for name, tensor in sorted(tensors.items()):
        print("FINAL", name, hashlib.sha256(tensor.detach().contiguous().numpy().tobytes()).hexdigest())
"""

MODULE_SCOPE = (
    FINGERPRINT
    + """
import random, time
from collections import deque
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

@dataclass(frozen=True)
class Transition:
    observation: np.ndarray
    reward: float

class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Tanh())
        self.heads = [nn.Linear(8, 2) for _ in range(2)]
        for number, head in enumerate(self.heads):
            self.add_module(f"head{number}", head)
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.passes = 0
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-2)

    def forward(self, x):
        self.passes += 1
        self.scratch += 1
        features = self.body(x)
        return sum(head(features) for head in self.heads)

def make_env(seed):
    def thunk():
        env = gym.wrappers.RecordEpisodeStatistics(gym.make(env_id))
        env = gym.wrappers.TransformReward(env, lambda reward: reward * scale)
        env.action_space.seed(seed)
        return env
    return thunk

if __name__ == "__main__":
    env_id, scale = "CartPole-v1", 0.5
    writer = SummaryWriter(f"runs/{int(time.time())}")
    writer.add_text("hyperparameters", "width")
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    generator = np.random.default_rng(4)
    envs = gym.vector.SyncVectorEnv([make_env(seed) for seed in range(3)])
    agent = Agent()
    target = Agent()
    target.load_state_dict(agent.state_dict())
    optimizer = agent.optimizer
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    log_alpha = torch.zeros(1, requires_grad=True)
    alpha_optimizer = torch.optim.SGD([log_alpha], lr=0.1, momentum=0.9)
    storage = torch.zeros(6, 3)
    row_view = storage[2]
    replay = deque(maxlen=50)
    observation, _ = envs.reset(seed=5)
    global_step = 0
    for update in range(1, 25):
        global_step += 3
        noise = generator.normal() + random.random() + np.random.random() + torch.rand(1)
        observation, reward, terminated, truncated, infos = envs.step(envs.action_space.sample())
        replay.extend(Transition(o, float(r)) for o, r in zip(observation, reward))
        row_view += noise
        batch = random.choices(replay, k=8)
        x = torch.as_tensor(np.stack([item.observation for item in batch]))
        y = torch.tensor([[item.reward] for item in batch]) + storage[2].mean()
        loss = ((agent(x) - y) ** 2).mean() + (log_alpha.exp() * (target(x).detach().mean() + storage[2, 0])).sum() ** 2
        loss.backward()
        if update % 3 == 0:  # gradients lie over several passes
            optimizer.step(), alpha_optimizer.step(), scheduler.step()
            optimizer.zero_grad(), alpha_optimizer.zero_grad()
        if update == 8:
            agent.body[2].eval()
            agent.head1.bias.requires_grad_(False)
        for parameter, slow in zip(agent.parameters(), target.parameters()):
            slow.data.lerp_(parameter.data, 0.1)
        writer.add_scalar("losses/loss", loss, global_step)
        writer.add_scalar("charts/reward", reward[:1], global_step)
    fingerprint(log_alpha=log_alpha, storage=storage, scratch=agent.scratch, **agent.state_dict())
    fingerprint(**{f"target.{name}": tensor for name, tensor in target.state_dict().items()})
    print("FINAL", agent.passes, agent.optimizer is optimizer, agent.heads[0] is agent.head0, agent.body[2].training)
    print("FINAL", optimizer.param_groups[0]["lr"], len(replay), envs.envs[0].unwrapped.state)
    print("FINAL", type(replay[0]) is Transition, row_view.data_ptr() == storage[2].data_ptr())
"""
)

FUNCTION_SCOPE = (
    FINGERPRINT
    + """
import copy, sys

import torch
from torch import nn

buffer = []
outputs = int(sys.argv[1]) if len(sys.argv) > 1 else 1

class Critics(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, outputs), nn.Linear(3, outputs)])

class Trainer:
    def __init__(self, actor):
        self.actor = actor
        self.actor_optimizer = torch.optim.AdamW(actor.parameters(), lr=1e-2)
        parts = [torch.optim.lr_scheduler.ConstantLR(self.actor_optimizer, 0.5, 4),
                 torch.optim.lr_scheduler.ExponentialLR(self.actor_optimizer, 0.9)]
        self.schedule = torch.optim.lr_scheduler.SequentialLR(self.actor_optimizer, parts, [6])
        self.critics = Critics()
        self.critics_target = copy.deepcopy(self.critics).requires_grad_(False)
        self.critic_optimizers = [torch.optim.Adam(c.parameters(), lr=1e-2) for c in self.critics.layers]
        self.scale = nn.Parameter(torch.ones(1))
        self.scale_optimizer = torch.optim.Adam([self.scale])
        self.total_it = 0

    def train(self, batch):
        self.total_it += 1
        q = sum(layer(batch) for layer in self.critics.layers)
        goal = sum(layer(batch) for layer in self.critics_target.layers)
        loss = ((q - goal - self.actor(batch).mean()) ** 2).mean() * self.scale.sum() + self.scale.sum() ** 2
        for optimizer in (*self.critic_optimizers, self.actor_optimizer, self.scale_optimizer):
            optimizer.zero_grad()
        loss.backward()
        for optimizer in (*self.critic_optimizers, self.actor_optimizer, self.scale_optimizer):
            optimizer.step()
        self.schedule.step()
        if self.total_it % 4 == 0:
            self.critics_target = copy.deepcopy(self.critics).requires_grad_(False)
        return loss

def train(steps):
    torch.manual_seed(0)
    actor = nn.Linear(3, 1)
    trainer = Trainer(actor)
    t, best, average = 0, float("inf"), torch.zeros(3)
    while t < steps:
        batch = torch.randn(4, 3) + average
        average = 0.9 * average + 0.1 * batch.mean(0)
        loss = trainer.train(batch)
        best = min(best, loss.item())
        buffer.append(batch)
        for layer_weight in trainer.actor.parameters():
            pass
        t += 1
    fingerprint(scale=trainer.scale, average=average, last=buffer[-1], first=buffer[0], alias=layer_weight)
    fingerprint(**actor.state_dict(), **trainer.critics.state_dict())
    fingerprint(**{f"target.{name}": tensor for name, tensor in trainer.critics_target.state_dict().items()})
    print("FINAL", t, best.hex(), trainer.total_it, len(buffer), trainer.actor is actor)
    print("FINAL", trainer.actor_optimizer.param_groups[0]["lr"], layer_weight is actor.bias)

train(20)
"""
)


def final(output):
    return [line for line in output[0].splitlines() if line.startswith("FINAL")]


def after(rows, step):
    return [row for row in rows if row[0] > step]


def test_script_at_module_level_resumes_bit_for_bit(train, tmp_path):
    killed = train(MODULE_SCOPE, tensorboard=tmp_path / "board")
    control = train(MODULE_SCOPE, name="control.py")
    killed.wait_for("boundary", held=True)
    boundary = killed.hold_at(30)["boundary"]
    saved = killed.snapshot(tmp_path / "checkpoints" / "{step}")
    assert (saved["boundary"], saved["step"], saved["last_step"], saved["skipped"]) == (boundary, 30, 30, [])
    killed.hold_at(48)
    killed.kill()
    path = tmp_path / "checkpoints" / "000000000030"
    policy = safetensors.torch.load_file(path / "policy.safetensors")
    assert policy["agent.body.0.weight"].shape == (8, 4)
    assert json.loads((path / "policy.json").read_text())["modules"] == {
        "agent": "__main__.Agent",
        "target": "__main__.Agent",
    }
    state = (path / "resume" / "state.pkl").read_bytes()
    weights = policy["agent.body.0.weight"].numpy().tobytes()
    assert weights not in state, "weights lie in the safetensors file and nowhere else"

    again = train(MODULE_SCOPE, tensorboard=tmp_path / "board")
    control.wait_for("boundary", held=True)
    expected = final(control.finish())
    assert again.restore(path)["boundary"] == boundary
    assert final(again.finish()) == expected
    assert after(again.rows(), 30) == after(control.rows(), 30)
    assert len(after(again.rows(), 30)) == len(again.rows()) > 0
    events = EventAccumulator(str(tmp_path / "board")).Reload()
    assert [event.step for event in events.Scalars("losses/loss")] == list(range(3, 73, 3))


def test_while_loop_in_a_function_resumes_bit_for_bit(train, tmp_path):
    first = train(FUNCTION_SCOPE)
    first.wait_for("boundary", held=True)
    first.hold_at(9)
    assert first.snapshot(tmp_path / "nine")["skipped"] == []
    first.send("grant", until_step=None)
    first.wait_for("boundary", ended=True)
    first.snapshot(tmp_path / "end")
    again, ended, misfit = train(FUNCTION_SCOPE), train(FUNCTION_SCOPE), train(FUNCTION_SCOPE, "2")
    first.send("grant", until_step=None)
    expected = final(first.outcome())
    again.restore(tmp_path / "nine")
    assert final(again.finish()) == expected
    ended.restore(tmp_path / "end")
    assert final(ended.finish()) == expected

    misfit.wait_for("boundary", held=True)
    misfit.send("restore", path=str(tmp_path / "nine"))
    message = misfit.wait_for("error")["message"]
    assert "trainer.critics.layers.0.weight is float32[1, 3] there and float32[2, 3] here" in message
    misfit.outcome()
    assert misfit.process.returncode == 3
