"""Which flags can be set in objects of the script's own that keep them, as CORL's trainers do."""

from __future__ import annotations

import pytest

from arena_ray.runner.inspection import inspect_script
from arena_ray.runner.protocol import ScriptArgument
from arena_ray.runner.tuning import live_set

SCRIPT = """\
@dataclass
class TrainConfig:
    env: str = "hopper-medium-v2"
    name: str = "mine"
    discount: float = 0.99
    tau: float = 0.005
    lr: float = 3e-4
    max_timesteps: int = 1000
    eval_freq: int = 50
    checkpoints_path: Optional[str] = None

    def __post_init__(self):
        self.name = f"{self.name}-{self.env}"

class Trainer:
    def __init__(self, optimizer, discount=0.9, tau=0.1):
        self.optimizer = optimizer
        self.discount = discount
        self.tau = tau

    def train(self, batch):
        return batch.sum() * self.discount + self.tau

def wandb_init(config: dict) -> None:
    wandb.init(config=config, project=config["env"], name=config["name"])
    wandb.run.save()

@pyrallis.wrap()
def train(config: TrainConfig):
    optimizer = torch.optim.Adam(parameters, lr=config.lr)
    if config.checkpoints_path is not None:
        with open(os.path.join(config.checkpoints_path, "config.yaml"), "w") as file:
            pyrallis.dump(config, file)
    kwargs = {"optimizer": optimizer, "discount": config.discount, "tau": config.tau}
    trainer = Trainer(**kwargs)
    wandb_init(asdict(config))
    for t in range(int(config.max_timesteps)):
        log = trainer.train(buffer.sample(256))
        if (t + 1) % config.eval_freq == 0:
            print(log)

if __name__ == "__main__":
    train()
"""
MADE = "trainer = Trainer(**kwargs)"
KEPT = "self.discount = discount\n"


def flags_of(before: str = "", after: str = "") -> dict[str, ScriptArgument]:
    assert before in SCRIPT
    source = SCRIPT.replace(before, after) if before else SCRIPT
    compile(source, "mine.py", "exec")
    return {argument.name: argument for argument in inspect_script(source, path="mine.py").arguments}


def test_what_a_trainer_keeps_is_set_in_it_and_its_optimizers_in_their_groups() -> None:
    flags = flags_of()
    live = {name for name, one in flags.items() if one.fixed_line is None}
    assert live == {"discount", "tau", "lr", "eval_freq"}
    assert flags["discount"].kept_as == (("trainer", "discount"),)
    assert (flags["lr"].group_keys, flags["lr"].kept_as) == ((("optimizer", "lr"),), ())
    assert SCRIPT.splitlines()[(flags["max_timesteps"].fixed_line or 0) - 1].startswith("    for t in range(")


def test_all_of_it_is_set_at_once() -> None:
    values = {"discount": 0.9, "lr": 0.1, "eval_freq": 7, "max_timesteps": 5}
    assert live_set(inspect_script(SCRIPT, path="mine.py"), values) == {
        "attributes": {"config": {"discount": 0.9, "lr": 0.1, "eval_freq": 7}, "trainer": {"discount": 0.9}},
        "groups": {"optimizer": {"lr": 0.1}},
    }


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (MADE, "trainer = Trainer(optimizer, config.discount)", (("trainer", "discount"),)),
        (MADE, "trainer = Trainer(optimizer, tau=1, discount=config.discount)", (("trainer", "discount"),)),
        (KEPT, "self.gamma: float = discount\n", (("trainer", "gamma"),)),
        ("for t in", "other = Trainer(optimizer, config.discount)\n    for t in",
         (("trainer", "discount"), ("other", "discount"))),
    ],
)  # fmt: skip
def test_however_it_is_given_it_is_found_where_it_is_kept(before: str, after: str, kept: object) -> None:
    assert flags_of(before, after)["discount"].kept_as == kept


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (KEPT, "self.discount = 1 - discount\n"),
        (KEPT, "self.discount = discount\n        self.horizon = 1 / (1 - discount)\n"),
        (KEPT, "self.discount = discount\n        self.horizon = 1 / (1 - self.discount)\n"),
        (KEPT, "discount = min(discount, 1)\n        self.discount = discount\n"),
        (KEPT, "self.discount = self.initial = discount\n"),
        (KEPT, "if tau:\n            self.discount = discount\n"),
        ("return batch", "self.discount *= 0.9\n        return batch"),
        (MADE, f"{MADE}\n    horizon = 1 / (1 - trainer.discount)"),
        (MADE, f"{MADE}\n    print(trainer.train(None))"),
        (MADE, f"{MADE}\n    if again:\n        trainer = Trainer(optimizer, 0.5)"),
        (MADE, "if again:\n        trainer = Trainer(**kwargs)"),
        (MADE, "trainer = wrapped(Trainer(**kwargs))"),
        (MADE, "trainer = Elsewhere(**kwargs)"),
        (MADE, "kwargs['tau'] = 0.1\n    trainer = Trainer(**kwargs)"),
        ("class Trainer:", "@wrapped\nclass Trainer:"),
    ],
)  # fmt: skip
def test_where_more_becomes_of_it_before_the_main_loop_it_is_fixed(before: str, after: str) -> None:
    flag = flags_of(before, after)["discount"]
    assert flag.fixed_line is not None
    assert (flag.kept_as, flag.fixed_why) == ((), "uses it before the main loop")


@pytest.mark.parametrize(
    ("before", "after", "taker"),
    [
        ("self.optimizer = optimizer", "self.schedule = CosineAnnealingLR(optimizer, 9)", "Trainer"),
        ("self.optimizer = optimizer",
         "self.optimizer = optimizer\n        self.schedule = CosineAnnealingLR(self.optimizer, 9)", "Trainer"),
        (MADE, f"schedule = CosineAnnealingLR(optimizer, 9)\n    {MADE}", "CosineAnnealingLR"),
    ],
)  # fmt: skip
def test_an_optimizer_whose_trainer_gives_it_to_a_schedule_fixes_its_rate(before: str, after: str, taker: str) -> None:
    flag = flags_of(before, after)["lr"]
    assert flag.fixed_why == f"gives optimizer, which is built of it, to {taker}"


def test_a_function_that_does_more_with_all_flags_than_to_log_them_fixes_them() -> None:
    flags = flags_of("    wandb.run.save()\n", "    wandb.run.save()\n    build(config['tau'])\n")
    assert {one.fixed_why for one in flags.values() if one.name in ("tau", "eval_freq")} == {
        "uses all flags together before the main loop"
    }
