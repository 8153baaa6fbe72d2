"""Which flags can be changed while a script trains, as its source tells."""

from __future__ import annotations

import ast
import textwrap
from functools import cache

import pytest

from arena_ray.runner.inspection import inspect_script
from arena_ray.runner.protocol import ScriptArgument, ScriptReport
from arena_runners.cleanrl import CleanRLRunner

HEAD = """\
from dataclasses import dataclass
import torch.optim as optim
import tyro

@dataclass
class Args:
    lr: float = 1e-3
    eps: float = 1e-5
    gamma: float = 0.99
    steps: int = 8
    tune: bool = True
"""
LOOP = """\
for step in range(100):
    agent.update({inside})
"""


FIRST = len(HEAD.splitlines()) + 3
"""Line of the first statement that gamma_of is given."""


def report_of(body: str, *, head: str = HEAD) -> ScriptReport:
    return inspect_script(head + textwrap.dedent(body), path="mine.py")


def gamma_of(before: str = "", *, inside: str = "args.gamma", functions: str = "", after: str = "") -> ScriptArgument:
    """Return what is said of the flag gamma of a script with these statements around its main loop."""
    body = "\n".join([functions, "args = tyro.cli(Args)", before, LOOP.format(inside=inside), after])
    return flags_of(report_of(body))["gamma"]


def flags_of(report: ScriptReport) -> dict[str, ScriptArgument]:
    return {argument.name: argument for argument in report.arguments}


@cache
def shipped(name: str) -> dict[str, ScriptArgument]:
    path = CleanRLRunner().scripts()[name]
    return flags_of(inspect_script(path.read_text(), path=str(path)))


def test_what_can_be_changed_in_ppo() -> None:
    flags = shipped("ppo")
    tuned = "learning_rate gamma gae_lambda clip_coef clip_vloss ent_coef vf_coef max_grad_norm norm_adv target_kl"
    for name in (*tuned.split(), "update_epochs", "anneal_lr"):
        assert flags[name].fixed_line is None, name
    assert flags["learning_rate"].group_keys == (("optimizer", "lr"),)
    assert flags["gamma"].group_keys == ()


@pytest.mark.parametrize(
    ("script", "flag", "line"),
    [
        ("ppo", "num_envs", "args.batch_size = args.num_envs * args.num_steps"),
        ("ppo", "num_steps", "args.batch_size = args.num_envs * args.num_steps"),
        ("ppo", "num_minibatches", "args.minibatch_size = args.batch_size // args.num_minibatches"),
        ("ppo", "total_timesteps", "args.num_iterations = args.total_timesteps // args.batch_size"),
        ("ppo", "cuda", 'device = torch.device("cuda" if args.cuda and torch.cuda.is_available() else "cpu")'),
        ("dqn", "buffer_size", "buffer = ReplayBuffer(args.buffer_size, envs.single_observation_space.shape)"),
        ("dqn", "total_timesteps", "for global_step in range(0, args.total_timesteps, args.num_envs):"),
    ],
)
def test_what_is_fixed_in_a_shipped_script_is_told_with_its_line(script: str, flag: str, line: str) -> None:
    argument = shipped(script)[flag]
    source = CleanRLRunner().scripts()[script].read_text().splitlines()
    assert argument.fixed_line is not None
    assert source[argument.fixed_line - 1].strip() == line
    assert argument.fixed_why == "uses it before the main loop"


def test_what_can_be_changed_in_dqn() -> None:
    flags = shipped("dqn")
    live = {name for name, argument in flags.items() if argument.fixed_line is None}
    assert live >= {
        *("learning_rate", "gamma", "tau", "target_network_frequency", "batch_size", "start_e", "end_e"),
        *("exploration_fraction", "learning_starts", "train_frequency"),
    }
    assert not live & {"buffer_size", "num_envs", "total_timesteps", "seed", "cuda", "env_id", "torch_deterministic"}
    assert flags["learning_rate"].group_keys == (("optimizer", "lr"),)


def test_a_read_in_the_main_loop_is_live_and_one_after_it_harmless() -> None:
    assert gamma_of().fixed_line is None
    assert gamma_of(after="evaluate(agent, args.gamma)").fixed_line is None


@pytest.mark.parametrize(
    "before",
    [
        "gamma = args.gamma\nagent = Agent(gamma)",
        "envs = make(args.gamma)",
        "envs = [make(args.gamma) for _ in range(3)]",
        "args.steps = int(args.gamma * 3)",
        "agent = Agent(envs)\nagent.gamma = args.gamma",
        "if args.gamma > 0.5:\n    agent = Small()",
        "if args.gamma > 0.5:\n    print('small')\n    agent = Small()",
        "schedule = lambda x: x * args.gamma",
        "for _ in range(int(args.gamma)):\n    warm_up()",
        "args.gamma and warm_up()",
        "x = print(warm_up(args.gamma))",
        "name = f'{args.gamma}'\nenvs = make(name)",
        "def late(x=args.gamma):\n    return x",
        "with scope(args.gamma):\n    pass",
        "match args.gamma:\n    case 1:\n        pass",
        "table[args.gamma] = 3",
        "counts = (args.gamma, args.steps)\nif min(counts) < 0:\n    raise SystemExit\nagent = Agent(counts)",
    ],
)
def test_a_read_before_the_main_loop_fixes_the_value(before: str) -> None:
    argument = gamma_of(before)
    assert argument.fixed_line == FIRST + next(
        at for at, line in enumerate(before.splitlines()) if "args.gamma" in line
    )
    assert argument.fixed_why == "uses it before the main loop"


@pytest.mark.parametrize(
    "before",
    [
        "assert 0 <= args.gamma <= 1, f'not {args.gamma}'",
        "if args.gamma > 1:\n    raise ValueError(f'gamma {args.gamma}')",
        "if not 0 < args.gamma <= 1:\n    print('no', args.gamma)\n    sys.exit(1)",
        "counts = (args.gamma, args.steps)\nif min(counts) < 0:\n    raise SystemExit('no')",
        "print(f'gamma {args.gamma:.2f}')",
        "run_name = f'{args.gamma}__{args.steps}'\nwriter = SummaryWriter(f'runs/{run_name}')\nenvs = make(run_name)",
        "writer.add_text('h', '\\n'.join(f'|{k}|{v}|' for k, v in vars(args).items()))",
        "table = ''.join([f'|{k}|{v}|' for k, v in vars(args).items()])\nwriter.add_text('h', table)",
        "for k, v in vars(args).items():\n    print(k, v)",
        "if args.tune:\n    wandb.init(config=vars(args), name=str(args.gamma))",
        "logger.info('gamma %s', args.gamma)",
        "print(args)",
    ],
)
def test_checks_and_the_log_do_not_fix_a_value(before: str) -> None:
    assert gamma_of(before).fixed_line is None


def test_a_log_that_the_script_reads_back_is_none() -> None:
    assert gamma_of("wandb.init(config=vars(args))\ngamma = wandb.config.gamma").fixed_line == FIRST


def test_a_flag_that_the_script_sets_itself_is_fixed() -> None:
    argument = gamma_of("args.gamma = args.gamma ** 2")
    assert (argument.fixed_line, argument.fixed_why) == (FIRST, "sets it itself")
    assert gamma_of("args.gamma *= 2").fixed_line == FIRST
    assert gamma_of(after="args.gamma = 1").fixed_line is None


def test_the_head_of_the_main_loop_is_before_it_and_the_test_of_a_while_in_it() -> None:
    head = "args = tyro.cli(Args)\n"
    assert (
        flags_of(report_of(head + "for step in range(args.steps):\n    agent.update()"))["steps"].fixed_line
        == FIRST - 1
    )
    assert flags_of(report_of(head + "while step < args.steps:\n    agent.update()"))["steps"].fixed_line is None


@pytest.mark.parametrize(
    ("function", "before", "inside", "is_live"),
    [
        ("def target(x):\n    return x * args.gamma", "", "target(3)", True),
        ("def target(x):\n    return x * args.gamma", "print(target(1))", "target(3)", False),
        ("def target(x):\n    return x * args.gamma", "hook = target", "hook(3)", False),
        ("def inner():\n    return args.gamma\ndef outer():\n    return inner()", "", "outer()", True),
        ("def inner():\n    return args.gamma\ndef outer():\n    return inner()", "outer()", "outer()", False),
        ("def ping():\n    return pong()\ndef pong():\n    return args.gamma + ping()", "", "ping()", True),
        ("def unused():\n    return args.gamma", "", "1", False),
        ("@cache\ndef target():\n    return args.gamma", "", "target()", False),
        ("@torch.no_grad()\ndef target():\n    return args.gamma", "", "target()", True),
        ("class Agent:\n    def value(self):\n        return args.gamma", "a = Agent()", "a.value()", True),
        ("class Agent:\n    def __call__(self):\n        return args.gamma", "a = Agent()", "a()", False),
        ("class Agent:\n    def forward(self):\n        return args.gamma", "a = Agent()", "a.forward()", False),
        ("class Scale(gym.Wrapper):\n    def step(self):\n        return args.gamma", "", "env.step()", False),
        ("def make():\n    def thunk():\n        return Env(args.gamma)\n    return thunk", "e = make()", "e()", False),
    ],
)
def test_what_stands_in_a_function_belongs_where_it_is_mentioned(
    function: str, before: str, inside: str, is_live: bool
) -> None:
    assert (gamma_of(before, inside=inside, functions=function).fixed_line is None) is is_live


@pytest.mark.parametrize(
    ("functions", "before", "inside", "is_live"),
    [
        ("def update(config):\n    return config.gamma", "", "update(args)", True),
        ("def check(config):\n    assert config.gamma < 1", "check(args)", "1", True),
        ("def build(config):\n    return Net(config.gamma)", "net = build(args)", "1", False),
        ("def build(n, config):\n    return Net(config.steps)", "net = build(config=args, n=3)", "args.gamma", True),
        ("class Agent:\n    def __init__(self, cfg):\n        self.cfg = cfg\n    def loss(self):\n"
         "        return self.cfg.gamma", "agent = Agent(args)", "agent.loss()", True),
        ("class Agent:\n    def __init__(self, cfg):\n        self.g = cfg.gamma", "agent = Agent(args)", "1", False),
        ("", "cfg = args\nnet = Net(cfg.gamma)", "1", False),
        ("", "agent = Agent(args)", "args.gamma", False),
        ("", "cfg = copy.copy(args)", "cfg.gamma", False),
        ("", "net = Net(**vars(args))", "args.gamma", False),
        ("", "setattr(args, 'gamma', 3)", "args.gamma", False),
        ("", "args.__dict__.update(x)", "args.gamma", False),
        ("def update(args):\n    return args.gamma", "x = update(other)", "1", True),  # another args
    ],
)  # fmt: skip
def test_the_object_with_the_flags_is_followed_to_where_it_is_handed_on(
    functions: str, before: str, inside: str, is_live: bool
) -> None:
    assert (gamma_of(before, inside=inside, functions=functions).fixed_line is None) is is_live


def test_a_property_of_the_arguments_is_read_where_it_is_mentioned() -> None:
    method = "    @property\n    def horizon(self):\n        return self.steps * 2\n"
    body = "args = tyro.cli(Args)\n{}for step in range(9):\n    agent.update(args.horizon)\n"
    assert flags_of(report_of(body.format(""), head=HEAD + method))["steps"].fixed_line is None
    assert flags_of(report_of(body.format("x = args.horizon\n"), head=HEAD + method))["steps"].fixed_line == FIRST


def test_what_follows_from_other_flags_when_they_are_read_is_fixed() -> None:
    method = "    def __post_init__(self):\n        self.steps = self.gamma * 2\n"
    body = "args = tyro.cli(Args)\nfor step in range(9):\n    agent.update(args.gamma)\n"
    flags = flags_of(report_of(body, head=HEAD + method))
    assert (flags["gamma"].fixed_why, flags["steps"].fixed_why) == ("uses it before the main loop", "sets it itself")


IN_FUNCTION = """
def train(config: Args):
    optimizer = optim.Adam(net.parameters(), lr=config.lr)
    size = config.steps
    net = Net(size)
    for step in range(100):
        agent.update(config.gamma)
    evaluate(config.eps)

if __name__ == "__main__":
    args = tyro.cli(Args)
    build(args.tune)
    train(args)
    evaluate(args.gamma)
"""


def test_a_main_loop_in_a_function_has_its_own_before_and_after() -> None:
    report = report_of(IN_FUNCTION)
    assert report.holders == ("config", "args")
    flags = flags_of(report)
    assert {name for name, one in flags.items() if one.fixed_line is not None} == {"steps", "tune"}
    assert flags["lr"].group_keys == (("optimizer", "lr"),)


def test_flags_that_the_main_loop_cannot_reach_are_fixed() -> None:
    report = report_of(
        "def main():\n    args = tyro.cli(Args)\n    train(args.gamma)\n"
        "def train(gamma):\n    for step in range(3):\n        agent.update(gamma)\nmain()\n"
    )
    assert report.holders == ()
    assert all(argument.fixed_line is not None for argument in report.arguments)


def test_arguments_that_a_function_returns_are_followed() -> None:
    report = report_of(
        "def parse():\n    args = tyro.cli(Args)\n    args.steps = args.lr\n    return args\n"
        "args = parse()\nfor step in range(3):\n    agent.update(args.gamma)\n"
    )
    assert report.holders == ("args",)
    assert flags_of(report)["gamma"].fixed_line is None
    assert flags_of(report)["lr"].fixed_line is not None


def test_a_script_without_main_loop_or_arguments_says_nothing() -> None:
    assert flags_of(report_of("args = tyro.cli(Args)\nnet = Net(args.gamma)\n"))["gamma"].fixed_line is None
    assert inspect_script("for x in y:\n    env.step(x)\n", path="a.py").holders == ()


CONTINUOUS_PPO = """
def make_env(env_id, gamma):
    def thunk():
        env = gym.make(env_id)
        return gym.wrappers.NormalizeReward(env, gamma=gamma)
    return thunk

if __name__ == "__main__":
    args = tyro.cli(Args)
    envs = gym.vector.SyncVectorEnv([make_env("Pendulum-v1", args.gamma) for i in range(2)])
    optimizer = optim.Adam(agent.parameters(), lr=args.lr, eps=1e-5)
    for iteration in range(1, 10):
        if args.tune:
            lrnow = (1.0 - iteration / 10) * args.lr
            optimizer.param_groups[0]["lr"] = lrnow
        delta = rewards + args.gamma * next_values
        optimizer.step()
"""


def test_a_discount_that_a_wrapper_of_the_environments_took_is_fixed() -> None:
    flags = flags_of(report_of(CONTINUOUS_PPO))
    assert flags["gamma"].fixed_line == FIRST + 7
    assert flags["lr"].group_keys == (("optimizer", "lr"),)
    assert flags["tune"].fixed_line is None


def test_the_sources_above_are_python() -> None:
    for source in (IN_FUNCTION, CONTINUOUS_PPO):
        ast.parse(HEAD + source)
