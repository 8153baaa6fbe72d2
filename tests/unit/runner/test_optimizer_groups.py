"""Which flags of a script are set in the groups of its optimizers, and which cannot be."""

from __future__ import annotations

import pytest

from arena_ray.runner.inspection import inspect_script
from arena_ray.runner.protocol import ScriptArgument

HEAD = """\
@dataclass
class Args:
    lr: float = 1e-3
    eps: float = 1e-5
    gamma: float = 0.99
    steps: int = 8
    tune: bool = True
"""


def flags_of(body: str) -> dict[str, ScriptArgument]:
    return {argument.name: argument for argument in inspect_script(HEAD + body, path="mine.py").arguments}


def optimizer_flags(before: str) -> dict[str, ScriptArgument]:
    return flags_of(f"args = tyro.cli(Args)\n{before}\nfor step in range(100):\n    agent.update()\n")


@pytest.mark.parametrize(
    ("before", "keys"),
    [
        ("opt = optim.Adam(p, lr=args.lr, eps=args.eps)", {"lr": (("opt", "lr"),), "eps": (("opt", "eps"),)}),
        ("opt = torch.optim.SGD(p, args.lr)", {"lr": (("opt", "lr"),)}),
        ("a = Adam(p, lr=args.lr)\nb = RMSprop(q, lr=args.lr)", {"lr": (("a", "lr"), ("b", "lr"))}),
        ("opt: Adam = AdamW(p, lr=args.lr, weight_decay=args.eps)",
         {"lr": (("opt", "lr"),), "eps": (("opt", "weight_decay"),)}),
        ("if args.tune:\n    opt = Adam(p, lr=args.lr)\nelse:\n    opt = SGD(p, lr=args.lr)", {"lr": (("opt", "lr"),)}),
        ("if a:\n    opt = Adam(p, lr=args.lr)\nelif b:\n    opt = SGD(p, args.lr)\nelse:\n    opt = SGD(q, args.lr)",
         {"lr": (("opt", "lr"),)}),
        ("opt = Adam(p, lr=args.lr)\nprint(opt)\noptimizers = [opt]", {"lr": (("opt", "lr"),)}),
    ],
)  # fmt: skip
def test_a_flag_that_an_optimizer_takes_is_set_in_its_groups(before: str, keys: dict[str, object]) -> None:
    flags = optimizer_flags(before)
    for name, expected in keys.items():
        assert flags[name].group_keys == expected
        assert (flags[name].fixed_line, flags[name].group_conditions) == (None, ())


@pytest.mark.parametrize(
    "before",
    [
        "opt = Adam(p, lr=args.lr * 2)",
        "opt = Adam(p, lr=args.lr)\nscale = 2 * args.lr\nnet = Net(scale)",
        "agent.opt = Adam(p, lr=args.lr)",
        "opts = [Adam(p, lr=args.lr)]",
        "opt = adam(p, lr=args.lr)",
        "opt = Adam(p, amsgrad=args.lr)",
        "opt = Adam([{'params': p, 'lr': 1}, {'params': q}], lr=args.lr)",
        "opt = Adam(p, lr=args.lr)\nscheduler = LambdaLR(opt, lambda step: 0.9)",
        "opt = Adam(p, lr=args.lr)\nscheduler = Chained([opt])",
        "if cuda:\n    opt = Adam(p, lr=args.lr)",
        "if args.tune:\n    opt = Adam(p, lr=args.lr)\nelif cuda:\n    opt = SGD(p, lr=args.lr)",
        "for part in parts:\n    opt = Adam(part, lr=args.lr)",
        "def build():\n    opt = Adam(p, lr=args.lr)\n    return opt\nopt = build()",
    ],
)
def test_an_optimizer_whose_groups_are_not_all_there_is_to_set_fixes_the_flag(before: str) -> None:
    flag = optimizer_flags(before)["lr"]
    assert flag.fixed_line is not None
    assert flag.group_keys == ()


def test_what_else_got_the_optimizer_is_named() -> None:
    flag = optimizer_flags("opt = Adam(p, lr=args.lr)\nscheduler = LambdaLR(opt, lambda step: 0.9)")["lr"]
    assert (flag.fixed_line, flag.fixed_why) == (
        len(HEAD.splitlines()) + 3,
        "gives opt, which is built of it, to LambdaLR",
    )


SAC = """
if __name__ == "__main__":
    args = tyro.cli(Args)
    q_optimizer = optim.Adam(list(qf1.parameters()) + list(qf2.parameters()), lr=args.lr)
    actor_optimizer = optim.Adam(list(actor.parameters()), lr=args.eps)
    if args.tune:
        log_alpha = torch.zeros(1, requires_grad=True)
        a_optimizer = optim.Adam([log_alpha], lr=args.lr)
    else:
        alpha = args.steps
    for global_step in range(100):
        update(rewards + args.gamma * q - alpha * entropy)
        q_optimizer.step()
        if args.tune:
            a_optimizer.step()
"""
TD3 = """
if __name__ == "__main__":
    args = tyro.cli(Args)
    q_optimizer = optim.Adam(list(qf1.parameters()), lr=args.lr)
    actor_optimizer = optim.Adam(list(actor.parameters()), lr=args.lr)
    rb = ReplayBuffer(args.steps, envs.single_observation_space)
    for global_step in range(100):
        noise = torch.randn_like(actions) * args.eps
        q_optimizer.step()
    if args.tune:
        evaluate(make_env, exploration_noise=args.eps)
"""


def test_an_optimizer_that_is_built_where_a_flag_says_so_is_told_with_that_flag() -> None:
    flags = flags_of(SAC)
    assert flags["lr"].group_keys == (("q_optimizer", "lr"), ("a_optimizer", "lr"))
    assert flags["lr"].group_conditions == (("a_optimizer", "tune", True),)
    assert flags["eps"].group_keys == (("actor_optimizer", "lr"),)
    assert {name for name, one in flags.items() if one.fixed_line is not None} == {"tune", "steps"}


def test_one_flag_of_two_optimizers_is_set_in_both() -> None:
    flags = flags_of(TD3)
    assert flags["lr"].group_keys == (("q_optimizer", "lr"), ("actor_optimizer", "lr"))
    assert {name for name, one in flags.items() if one.fixed_line is not None} == {"steps"}
