"""Search spaces against the flags of a script, and what is set to change flags while it runs."""

from __future__ import annotations

import random
from typing import Any

import pytest

from arena_ray.model.errors import SpecError
from arena_ray.model.search_space import SearchSpace
from arena_ray.runner.inspection import inspect_script
from arena_ray.runner.protocol import ScriptArgument, ScriptReport
from arena_ray.runner.tuning import check_space, live_set
from arena_runners.cleanrl import CleanRLRunner

REPORT = ScriptReport(
    main_loop=None,
    holders=("args",),
    arguments=(
        ScriptArgument("lr", "float", 1e-3, group_keys=(("optimizer", "lr"),)),
        ScriptArgument("q_lr", "float", 1e-3, group_keys=(("q", "lr"), ("a", "lr")),
                       group_conditions=(("a", "autotune", True),)),
        ScriptArgument("epochs", "int", 4),
        ScriptArgument("autotune", "bool", True, fixed_line=20, fixed_why="uses it before the main loop"),
        ScriptArgument("num_steps", "int", 128, fixed_line=187, fixed_why="uses it before the main loop"),
        ScriptArgument("target_kl", "Optional[float]"),
        ScriptArgument("mode", "Literal['a', 'b']", "a"),
        ScriptArgument("batch_size", "int", 0, overwritten_line=30, computed_from=("num_steps",)),
        ScriptArgument("seed", "int", 1),
    ),
)  # fmt: skip


def check(
    data: Any, *, given: dict[str, Any] | None = None, must_be_live: bool = False, permission: str | None = None
) -> SearchSpace:
    space = SearchSpace.parse(data)
    options = {"must_be_live": must_be_live, "permission": permission}
    return check_space(space, REPORT, script="ppo", given=given or {}, **options)


def complaint(data: Any, **options: Any) -> str:
    with pytest.raises(SpecError) as caught:
        check(data, **options)
    return str(caught.value)


def test_values_are_fitted_to_the_types_of_the_flags() -> None:
    space = check(
        {
            "lr": {"choice": [1, 2]},
            "epochs": {"quniform": [1e1, 1e2, 1e1]},
            "q_lr": {"quniform": [0, 4, 2]},
            "target_kl": {"choice": [None, 1]},
        }
    )
    values = space.sample(random.Random(0))
    assert {name: type(value) for name, value in values.items()} | {"target_kl": None} == {
        "lr": float,
        "epochs": int,
        "q_lr": float,
        "target_kl": None,
    }
    assert space.to_data()["target_kl"] == {"choice": [None, 1.0]}
    assert space.to_data()["epochs"] == {"quniform": [10, 100, 10]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"lrr": {"uniform": [0, 1]}}, "param_space.lrr: ppo has no such flag; did you mean 'lr'?"),
        ({"batch_size": {"choice": [1]}}, "param_space.batch_size: it has no effect: ppo sets it itself in line 30"),
        ({"seed": {"randint": [0, 9]}}, "param_space.seed: give it as the key 'seed' of the experiment file"),
        (
            {"epochs": {"uniform": [1, 9]}},
            "param_space.epochs: ppo takes int, and uniform gives any number between its bounds; "
            "use randint, or quniform of whole numbers",
        ),
        ({"epochs": {"quniform": [1, 9, 0.5]}}, "param_space.epochs: ppo takes int, not 0.5; give whole numbers"),
        ({"epochs": {"choice": [1, "x", 2.5]}}, "param_space.epochs: ppo takes int, not 'x'"),
        ({"mode": {"loguniform": [1, 9]}}, "loguniform gives any number between its bounds; use choice"),
        ({"autotune": {"randint": [0, 2]}}, "param_space.autotune: ppo takes bool, not 0; use choice"),
        ({"mode": {"choice": ["a", "c"]}}, "param_space.mode: ppo takes Literal['a', 'b'], not 'c'"),
        ({"target_kl": {"choice": [None, "x"]}}, "param_space.target_kl: ppo takes Optional[float], not 'x'"),
    ],
)
def test_what_does_not_fit_the_script_is_refused(data: Any, said: str) -> None:
    assert said in complaint(data)


def test_all_mistakes_are_told_at_once() -> None:
    lines = complaint({"epochs": {"choice": [1, "x", 2.5]}, "lrr": {"choice": [1]}}).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["param_space.epochs"] * 2 + ["param_space.lrr"]


def test_what_is_given_too_is_refused() -> None:
    said = complaint({"lr": {"uniform": [0, 1]}}, given={"lr": 3})
    assert said == "param_space.lr: given under hyperparameters or flags too; keep one of them"


def test_what_must_change_while_the_script_runs_must_be_live() -> None:
    data = {"num_steps": {"choice": [64, 128]}, "lr": {"uniform": [0, 1]}}
    assert check(data).names == ("num_steps", "lr")
    assert complaint(data, must_be_live=True) == (
        "param_space.num_steps: cannot be changed while ppo runs: line 187 uses it before the main loop; "
        "give it under flags instead"
    )
    said = complaint(data, must_be_live=True, permission="allow_restart")
    assert said.endswith("; give it under flags instead, or set allow_restart: true")


def test_live_values_are_set_where_the_main_loop_reads_them_and_in_the_optimizer() -> None:
    assert live_set(REPORT, {"lr": 3e-4, "epochs": 5}) == {
        "attributes": {"args": {"lr": 3e-4, "epochs": 5}},
        "groups": {"optimizer": {"lr": 3e-4}},
    }


def test_what_cannot_be_changed_is_left_out() -> None:
    assert live_set(REPORT, {"num_steps": 64, "batch_size": 8, "unknown": 1}) == {"attributes": {}, "groups": {}}


@pytest.mark.parametrize(("flags", "groups"), [({}, {"q", "a"}), ({"autotune": False}, {"q"}), ({"lr": 1}, {"q", "a"})])
def test_an_optimizer_that_was_not_built_is_not_set(flags: dict[str, Any], groups: set[str]) -> None:
    assert live_set(REPORT, {"q_lr": 0.1}, flags=flags)["groups"].keys() == groups


def test_the_shipped_scripts_can_be_tuned_while_they_run() -> None:
    path = CleanRLRunner().scripts()["ppo"]
    report = inspect_script(path.read_text(), path=str(path))
    space = SearchSpace.parse({"learning_rate": {"loguniform": [1e-5, 1e-2]}, "clip_coef": {"choice": [0.1, 0.2]}})
    checked = check_space(space, report, script="ppo", given={}, must_be_live=True)
    assert checked == space
    message = live_set(report, {"learning_rate": 1e-3, "clip_coef": 0.1})
    assert message["attributes"] == {"args": {"learning_rate": 1e-3, "clip_coef": 0.1}}
    assert message["groups"] == {"optimizer": {"lr": 1e-3}}
