"""Flags of a script: read from its source, checked, written as a command line and read back by tyro."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_ray.model.errors import SpecError
from arena_ray.model.spec import FlagValue
from arena_ray.runner.arguments import build_flags, check_flags, read_arguments
from arena_ray.runner.protocol import ScriptArgument
from arena_runners.cleanrl import CleanRLRunner

SCRIPT = '''
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Optional
import os
import tyro

@dataclass
class Base:
    seed: int = 1
    """seed of
    everything"""

@dataclass
class Args(Base):
    version: ClassVar[int] = 3
    env_id: str = "CartPole-v1"
    exp_name: str = os.path.basename(__file__)
    cuda: bool = True
    learning_rate: float = 2.5e-4
    """how fast"""
    total_timesteps: int = 1000
    target_kl: Optional[float] = None
    mode: Literal["a", "b"] = "a"
    hidden: tuple[int, ...] = (64, 64)
    sizes: list[int] = field(default_factory=list)
    secret: int = field(default=1, init=False)
    batch_size: int = 0
    run_name: str | None = None
    start: float = 1.0
    data: str

if __name__ == "__main__":
    args = tyro.cli(Args)
    args.batch_size = args.total_timesteps * args.seed
    args.start = args.start * 2
    if args.run_name is None:
        args.run_name = "made up"
'''


@pytest.fixture
def arguments() -> dict[str, ScriptArgument]:
    return {one.name: one for one in read_arguments(SCRIPT, path="mine.py")}


def test_every_field_is_read_in_order_with_its_type_default_and_help(arguments: dict[str, ScriptArgument]) -> None:
    assert list(arguments) == [
        "seed",
        "env_id",
        "exp_name",
        "cuda",
        "learning_rate",
        "total_timesteps",
        "target_kl",
        "mode",
        "hidden",
        "sizes",
        "batch_size",
        "run_name",
        "start",
        "data",
    ]
    assert arguments["learning_rate"] == ScriptArgument("learning_rate", "float", 2.5e-4, "how fast")
    assert arguments["seed"].help == "seed of everything"
    assert arguments["hidden"].default == [64, 64]
    assert arguments["target_kl"].type == "Optional[float]"
    assert arguments["exp_name"].default is None
    assert [name for name, one in arguments.items() if one.is_required] == ["data"]


def test_a_flag_that_the_script_replaces_is_known_with_its_line_and_sources(
    arguments: dict[str, ScriptArgument],
) -> None:
    line = SCRIPT.splitlines().index("    args.batch_size = args.total_timesteps * args.seed") + 1
    assert arguments["batch_size"].overwritten_line == line
    assert arguments["batch_size"].computed_from == ("total_timesteps", "seed")


def test_a_flag_that_is_only_filled_in_or_scaled_still_has_an_effect(arguments: dict[str, ScriptArgument]) -> None:
    assert arguments["run_name"].overwritten_line is None
    assert arguments["start"].overwritten_line is None


def test_a_dataclass_of_another_name_is_found_by_the_call_of_tyro() -> None:
    source = (
        "from dataclasses import dataclass\n@dataclass\nclass Options:\n    lr: float = 1.0\nopts = tyro.cli(Options)"
    )
    assert [one.name for one in read_arguments(source, path="x.py")] == ["lr"]


def test_a_script_without_a_dataclass_declares_nothing() -> None:
    assert read_arguments("print('hello')", path="x.py") == ()


def test_a_syntax_error_names_its_line() -> None:
    with pytest.raises(SpecError, match=r"^mine\.py:2: not valid Python"):
        read_arguments("x = 1\ny = = 2\n", path="mine.py")


def check(
    arguments: dict[str, ScriptArgument], hyperparameters: dict[str, object], *, gpu: float = 0, **flags: object
) -> dict[str, object]:
    given_flags = {"data": "d", **flags}
    return dict(
        check_flags(
            list(arguments.values()),
            script="mine",
            hyperparameters=hyperparameters,  # type: ignore[arg-type]
            flags=given_flags,  # type: ignore[arg-type]
            gpu=gpu,
        )
    )


def test_numbers_become_what_the_script_declares(arguments: dict[str, ScriptArgument]) -> None:
    checked = check(arguments, {"learning_rate": 1}, total_timesteps=1e5, target_kl=2, hidden=[1.0, 2])
    assert json.dumps(checked) == json.dumps(
        {
            "cuda": False,
            "learning_rate": 1.0,
            "total_timesteps": 100000,
            "target_kl": 2.0,
            "hidden": [1, 2],
            "data": "d",
        }
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("learning_rate", "fast"),
        ("learning_rate", True),
        ("learning_rate", None),
        ("total_timesteps", 0.5),
        ("total_timesteps", "10"),
        ("cuda", 1),
        ("exp_name", 3),
        ("mode", "c"),
        ("target_kl", "none"),
        ("hidden", 3),
        ("hidden", ["a"]),
        ("learning_rate", [1.0]),
    ],
)
def test_a_value_of_another_type_is_refused(arguments: dict[str, ScriptArgument], key: str, value: object) -> None:
    with pytest.raises(SpecError, match=rf"^hyperparameters\.{key}: mine takes .*, not"):
        check(arguments, {key: value})


@pytest.mark.parametrize(
    ("key", "value"), [("mode", "b"), ("target_kl", None), ("hidden", []), ("cuda", True), ("run_name", "x")]
)
def test_a_value_of_the_declared_type_is_taken(arguments: dict[str, ScriptArgument], key: str, value: object) -> None:
    assert check(arguments, {key: value})[key] == value


def test_all_mistakes_are_told_at_once(arguments: dict[str, ScriptArgument]) -> None:
    with pytest.raises(SpecError) as caught:
        check_flags(
            list(arguments.values()),
            script="mine",
            hyperparameters={"lerning_rate": 1.0, "seed": 3, "batch_size": 7, "start": 1.0},
            flags={"env_id": "x", "start": 2.0, "total-timesteps": 3},
        )
    line = arguments["batch_size"].overwritten_line
    assert str(caught.value).splitlines() == [
        "hyperparameters.lerning_rate: mine has no such flag; did you mean 'learning_rate'?",
        "hyperparameters.seed: give it as the key 'seed' of the experiment file, beside 'script'",
        "hyperparameters.batch_size: it has no effect: "
        f"mine sets it itself in line {line} from total_timesteps, seed; set those instead",
        "flags.env_id: give it as the key 'env_id' of the experiment file, beside 'script'",
        "flags.start: given under hyperparameters too; keep one of them",
        "flags.total-timesteps: mine has no such flag; did you mean 'total_timesteps'?",
        "flags.data: mine needs it and has no default (str)",
    ]


def test_flags_for_a_script_that_declares_none_are_refused() -> None:
    with pytest.raises(SpecError, match="declares no flags that could be read"):
        check_flags([], script="mine", hyperparameters={"lr": 1.0}, flags={})


def test_cuda_follows_the_gpus_unless_it_is_given(arguments: dict[str, ScriptArgument]) -> None:
    assert check(arguments, {}, gpu=0.5)["cuda"] is True
    assert check(arguments, {}, gpu=0)["cuda"] is False
    assert check(arguments, {}, gpu=1, cuda=False)["cuda"] is False


def test_the_command_line_is_in_the_order_of_the_script(arguments: dict[str, ScriptArgument]) -> None:
    flags: dict[str, FlagValue] = {
        "mode": "-b",
        "hidden": [1, 2],
        "target_kl": None,
        "learning_rate": 0.00025,
        "cuda": False,
    }
    assert build_flags(list(arguments.values()), flags, env_id="X-v0", seed=3) == [
        *("--seed", "3", "--env-id", "X-v0", "--no-cuda", "--learning-rate", "0.00025"),
        *("--target-kl", "None", "--mode=-b", "--hidden", "1", "2"),
    ]


def test_a_boolean_without_default_is_given_as_a_word() -> None:
    assert build_flags([ScriptArgument("x", "bool", is_required=True)], {"x": False}, env_id="e", seed=1) == [
        *("--x", "False")
    ]


def test_a_script_without_a_seed_is_given_none() -> None:
    assert build_flags([ScriptArgument("lr", "float")], {"lr": 1.0}, env_id="e", seed=1) == ["--lr", "1.0"]


READ_BACK = """
import dataclasses, importlib.util, json, sys, types
import tyro
answers = []
for path, words in json.load(sys.stdin):
    spec = importlib.util.spec_from_file_location("script", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["script"] = module
    spec.loader.exec_module(module)
    answers.append(dataclasses.asdict(tyro.cli(module.Args, args=words)))
print(json.dumps(answers))
"""


def test_tyro_reads_back_what_was_given_for_both_shipped_scripts() -> None:
    given_flags: dict[str, dict[str, FlagValue]] = {
        "ppo": {
            "cuda": False,
            "total_timesteps": 4096,
            "learning_rate": 1e-05,
            "anneal_lr": False,
            "ent_coef": -0.5,
            "target_kl": None,
            "exp_name": "-odd --name",
        },
        "dqn": {"cuda": True, "track": False, "tau": 0.5, "buffer_size": 10, "wandb_entity": "", "start_e": 1e-30},
    }
    scripts = CleanRLRunner().scripts()
    asked = []
    for name, flags in given_flags.items():
        arguments = read_arguments(scripts[name].read_text(), path=name)
        asked.append((str(scripts[name]), build_flags(arguments, flags, env_id="ns/Env-v0", seed=7)))
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_BACK],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    for (name, flags), parsed in zip(given_flags.items(), json.loads(child.stdout), strict=True):
        assert parsed.items() >= {**flags, "env_id": "ns/Env-v0", "seed": 7}.items(), name
        declared = read_arguments(scripts[name].read_text(), path=name)
        assert [one.name for one in declared] == list(parsed)


PIECES = st.sampled_from(
    [
        "@dataclass\nclass Args:\n",
        "    lr: float = 1.0\n",
        '    """help"""\n',
        "    x: Literal['a'] = field(default=3)\n",
        "    y: 'int | None'\n",
        "args = tyro.cli(Args)\n",
        "tyro.cli()\n",
        "args.lr = args.x\n",
        "if args.y: args.y = 1\n",
        "def f(args: Args): args.lr: int = 3\n",
        "(" * 300,
        "x" + ".a" * 3000 + "\n",
        "\0",
        "\ufeff",
        "\\d",
    ]
)


ANNOTATIONS = ["int", "float | None", "tuple[int, ...]", "tuple[()]", "list[float]", "Optional[Literal['a']]"]


@given(st.one_of(st.text(), st.lists(PIECES | st.text(max_size=5)).map("".join)))
def test_reading_never_raises_anything_but_a_spec_error(source: str) -> None:
    try:
        arguments = read_arguments(source, path="any.py")
    except SpecError:
        return
    assert all(isinstance(one, ScriptArgument) for one in arguments)


@given(
    st.text(max_size=20) | st.sampled_from(ANNOTATIONS),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda leaf: st.lists(leaf, max_size=3),
        max_leaves=3,
    ).filter(lambda value: not (isinstance(value, list) and any(isinstance(one, list) for one in value))),
)
def test_checking_never_raises_anything_but_a_spec_error(annotation: str, value: object) -> None:
    argument = ScriptArgument("x", annotation)
    try:
        checked = check_flags([argument], script="s", hyperparameters={"x": value}, flags={})  # type: ignore[dict-item]
    except SpecError:
        return
    assert "x" in checked
