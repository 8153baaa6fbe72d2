"""Small scripts of families whose actions are numbers, in the same form; and all families by their names."""

from __future__ import annotations

from index_policies import BEGIN, C51, C51_IN_TWO, DISCRETE, DQN, PPO, PQN

_BOUNDED = DISCRETE.replace("CartPole-v1", "Pendulum-v1")

_NORMALISED = """
def make_env():
    env = gym.make("Pendulum-v1")
    env = gym.wrappers.FlattenObservation(env)
    env = gym.wrappers.RecordEpisodeStatistics(env)
    env = gym.wrappers.ClipAction(env)
    env = gym.wrappers.NormalizeObservation(env)
    env = gym.wrappers.TransformObservation(env, lambda obs: np.clip(obs, -10, 10), env.observation_space)
    env = gym.wrappers.NormalizeReward(env, gamma=0.99)
    return gym.wrappers.TransformReward(env, lambda reward: np.clip(reward, -10, 10))

envs = gym.vector.SyncVectorEnv([make_env], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
"""

PPO_CONTINUOUS = (
    BEGIN
    + _NORMALISED
    + """
class Agent(nn.Module):
    def __init__(self, rpo_alpha):
        super().__init__()
        self.rpo_alpha = rpo_alpha
        self.critic = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        self.actor_mean = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        self.actor_logstd = nn.Parameter(torch.zeros(1, 1))

    def get_action_and_value(self, x, action=None):
        action_mean = self.actor_mean(x)
        action_logstd = self.actor_logstd.expand_as(action_mean)
        action_std = torch.exp(action_logstd)
        probs = Normal(action_mean, action_std)
        if action is None:
            action = probs.sample()
        return action, probs.log_prob(action).sum(1), probs.entropy().sum(1), self.critic(x)

agent = Agent(0.5).to(device)
with torch.no_grad():
    agent.actor_mean[2].weight.mul_(9.0)  # so that some actions are out of bounds
optimizer = torch.optim.Adam(agent.parameters())
next_obs, _ = envs.reset(seed=1)
next_obs = torch.Tensor(next_obs).to(device)
for step in range(30):
    with torch.no_grad():
        action, logprob, _, value = agent.get_action_and_value(next_obs)
    next_obs, reward, terminations, truncations, infos = envs.step(action.cpu().numpy())
    next_obs = torch.Tensor(next_obs).to(device)
inside = lambda x: agent.actor_mean(x).clamp(-2, 2)
"""
)

RPO = PPO_CONTINUOUS.replace(
    "            action = probs.sample()\n        return",
    """            action = probs.sample()
        else:
            z = torch.FloatTensor(action_mean.shape).uniform_(-self.rpo_alpha, self.rpo_alpha).to(device)
            action_mean = action_mean + z
            probs = Normal(action_mean, action_std)
        return""",
)

_ACTOR = """
class Actor(nn.Module):
    def __init__(self, env):
        super().__init__()
        self.fc1 = nn.Linear(3, 8)
        self.fc_mu = nn.Linear(8, 1)
        high, low = env.action_space.high, env.action_space.low
        self.register_buffer("action_scale", torch.tensor((high - low) / 2.0 * 0.7, dtype=torch.float32))
        self.register_buffer("action_bias", torch.tensor((high + low) / 2.0 + 0.1, dtype=torch.float32))

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = torch.tanh(self.fc_mu(x))
        return x * self.action_scale + self.action_bias

"""

TD3 = (
    BEGIN
    + _BOUNDED
    + _ACTOR.replace("env.action_space", "env.single_action_space")
    + """
actor = Actor(envs).to(device)
target_actor = Actor(envs).to(device)
actor_optimizer = torch.optim.Adam(list(actor.parameters()))
obs, _ = envs.reset(seed=1)
for global_step in range(5):
    if global_step < 2:
        actions = np.array([envs.single_action_space.sample() for _ in range(envs.num_envs)])
    else:
        with torch.no_grad():
            actions = actor(torch.Tensor(obs).to(device))
            actions += torch.normal(0, actor.action_scale * 0.1)
            actions = actions.cpu().numpy().clip(envs.single_action_space.low, envs.single_action_space.high)
    next_obs, rewards, terminations, truncations, infos = envs.step(actions)
    obs = next_obs
inside = actor
"""
)

DDPG = TD3.replace(
    "env.single_action_space.high, env.single_action_space.low", "env.action_space.high, env.action_space.low"
)
DDPG = DDPG.replace("SyncVectorEnv([make_env, make_env]", "SyncVectorEnv([make_env]")

SAC = (
    BEGIN
    + _BOUNDED
    + """
LOG_STD_MAX = 2
LOG_STD_MIN = -5

class Actor(nn.Module):
    def __init__(self, env):
        super().__init__()
        self.fc1 = nn.Linear(3, 8)
        self.fc_mean = nn.Linear(8, 1)
        self.fc_logstd = nn.Linear(8, 1)
        high, low = env.single_action_space.high, env.single_action_space.low
        self.register_buffer("action_scale", torch.tensor((high - low) / 2.0, dtype=torch.float32))
        self.register_buffer("action_bias", torch.tensor((high + low) / 2.0, dtype=torch.float32))

    def forward(self, x):
        x = F.relu(self.fc1(x))
        mean = self.fc_mean(x)
        log_std = self.fc_logstd(x)
        log_std = torch.tanh(log_std)
        log_std = LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (log_std + 1)
        return mean, log_std

    def get_action(self, x):
        mean, log_std = self(x)
        std = log_std.exp()
        normal = torch.distributions.Normal(mean, std)
        x_t = normal.rsample()
        y_t = torch.tanh(x_t)
        action = y_t * self.action_scale + self.action_bias
        log_prob = normal.log_prob(x_t)
        log_prob -= torch.log(self.action_scale * (1 - y_t.pow(2)) + 1e-6)
        log_prob = log_prob.sum(1, keepdim=True)
        mean = torch.tanh(mean) * self.action_scale + self.action_bias
        return action, log_prob, mean

actor = Actor(envs).to(device)
actor_optimizer = torch.optim.Adam(list(actor.parameters()))
obs, _ = envs.reset(seed=1)
for global_step in range(5):
    if global_step < 2:
        actions = np.array([envs.single_action_space.sample() for _ in range(envs.num_envs)])
    else:
        actions, _, _ = actor.get_action(torch.Tensor(obs).to(device))
        actions = actions.detach().cpu().numpy()
    obs, rewards, terminations, truncations, infos = envs.step(actions)
inside = lambda x: actor.get_action(x)[2]
"""
)

FAMILIES: dict[str, tuple[str, str]] = {
    "ppo": (PPO, "categorical"),
    "dqn": (DQN, "q_values"),
    "pqn": (PQN, "q_values"),
    "c51": (C51, "q_values"),
    "c51_in_two": (C51_IN_TWO, "q_values"),
    "ppo_continuous_action": (PPO_CONTINUOUS, "gaussian"),
    "rpo_continuous_action": (RPO, "gaussian"),
    "td3_continuous_action": (TD3, "deterministic"),
    "ddpg_continuous_action": (DDPG, "deterministic"),
    "sac_continuous_action": (SAC, "squashed_gaussian"),
}
"""Script and kind of policy of each family."""
