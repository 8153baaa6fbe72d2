"""Hyperparameters are set in the script's own objects: all of them or none."""

import argparse
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from arena_ray.harness.hyperparameters import CannotSet, set_live
from arena_ray.harness.variables import Variables


@dataclass(frozen=True)
class Frozen:
    learning_rate: float = 0.1


class Classy:
    learning_rate = 0.1


class Checking:
    def __init__(self) -> None:
        self._gamma = 0.9

    @property
    def gamma(self) -> float:
        return self._gamma

    @gamma.setter
    def gamma(self, value: float) -> None:
        if not 0 <= value <= 1:
            raise ValueError("gamma must be in [0, 1]")
        self._gamma = value

    @property
    def doubled(self) -> float:
        return self._gamma * 2


class Picky:
    """An optimizer whose rate cannot be set."""

    class Group(dict[str, float]):
        def __setitem__(self, key: str, value: float) -> None:
            raise ValueError("frozen")

    def __init__(self) -> None:
        self.param_groups = [self.Group(lr=0.1)]


def optimizer(**options: Any) -> torch.optim.Optimizer:
    groups = [{"params": [torch.zeros(1, requires_grad=True)]} for _ in range(2)]
    return torch.optim.SGD(groups, lr=0.1, **options)


def names(**more: Any) -> dict[str, Any]:
    args = argparse.Namespace(learning_rate=0.1, batch=4)
    return {"args": args, "optimizer": optimizer(), "checking": Checking(), **more}


def set_in(variables: dict[str, Any], attributes: Any = None, groups: Any = None, **inner: Any) -> None:
    frame: Any = SimpleNamespace(f_globals=variables, f_locals=inner)
    set_live(attributes or {}, groups or {}, Variables(frame, list(inner) if inner else None))


def test_attributes_and_every_group_of_the_optimizer_are_set():
    variables = names()
    set_in(variables, {"args": {"learning_rate": 0.2, "batch": 8}}, {"optimizer": {"lr": 0.2, "momentum": 0.5}})
    assert vars(variables["args"]) == {"learning_rate": 0.2, "batch": 8}
    assert [(group["lr"], group["momentum"]) for group in variables["optimizer"].param_groups] == [(0.2, 0.5)] * 2


@pytest.mark.parametrize("kind", [Frozen, Classy, lambda: Classy, lambda: SimpleNamespace(learning_rate=0.1)])
def test_every_usual_holder_of_arguments_can_be_set(kind, monkeypatch):
    monkeypatch.setattr(Classy, "learning_rate", 0.1)
    held = kind()
    set_in({"args": held}, {"args": {"learning_rate": 0.2}})
    assert held.learning_rate == 0.2


def test_dictionaries_and_members_of_objects_can_be_set():
    trainer = SimpleNamespace(config={"rate": 0.1}, actor_optimizer=optimizer())
    set_in({"trainer": trainer}, {"trainer.config": {"rate": 0.2}}, {"trainer.actor_optimizer": {"lr": 0.2}})
    assert trainer.config == {"rate": 0.2}
    assert trainer.actor_optimizer.param_groups[1]["lr"] == 0.2


def test_local_variable_comes_before_a_global_one():
    variables, args = names(), argparse.Namespace(learning_rate=0.1)
    set_in(variables, {"args": {"learning_rate": 0.2}}, {"optimizer": {"lr": 0.2}}, args=args)
    assert (args.learning_rate, variables["args"].learning_rate) == (0.2, 0.1)
    assert variables["optimizer"].param_groups[0]["lr"] == 0.2


def test_rate_that_is_a_tensor_stays_the_same_tensor():
    held, rate = optimizer(), torch.tensor(0.5)
    held.param_groups[0]["lr"] = rate
    set_in({"optimizer": held}, {}, {"optimizer": {"lr": 0.25}})
    assert held.param_groups[0]["lr"] is rate
    assert [float(group["lr"]) for group in held.param_groups] == [0.25, 0.25]
    variables = {"picky": Picky(), "optimizer": held}
    with pytest.raises(ValueError, match="frozen"):
        set_in(variables, {}, {"optimizer": {"lr": 1.0}, "picky": {"lr": 1.0}})
    assert held.param_groups[0]["lr"] is rate
    assert [float(group["lr"]) for group in held.param_groups] == [0.25, 0.25]


@pytest.mark.parametrize(
    ("attributes", "groups", "reason"),
    [
        ({"config": {"x": 1}}, {}, "the script has no config"),
        ({"args": {"learning_rate": 1.0, "gamma": 1}}, {}, "args has no gamma"),
        ({"args": {"learning_rate": 1.0}}, {"optimiser": {"lr": 1.0}}, "the script has no optimizer optimiser"),
        ({}, {"args": {"lr": 1.0}}, "the script has no optimizer args"),
        ({}, {"optimizer": {"lr": 1.0, "alpha": 1.0}}, "group 0 of optimizer has no alpha; group 1 of optimizer has"),
        ({"args": {"a": 1, "b": 2}, "c": {"d": 3}}, {}, "args has no a; args has no b; the script has no c"),
        ({"args": {"learning_rate": 1.0}, "checking": {"doubled": 1}}, {}, "property"),
        ({"args": {"learning_rate": 1.0}, "checking": {"gamma": 2}}, {}, "gamma must be in"),
        ({"args": {"learning_rate": 1.0}, "pair": {"real": 1}}, {}, "readonly"),
    ],
)
def test_nothing_is_set_where_one_thing_cannot_be(attributes, groups, reason):
    variables = names(pair=1j)
    with pytest.raises((CannotSet, AttributeError, ValueError)) as caught:
        set_in(variables, attributes, groups)
    assert reason in str(caught.value)
    assert vars(variables["args"]) == {"learning_rate": 0.1, "batch": 4}
    assert [group["lr"] for group in variables["optimizer"].param_groups] == [0.1, 0.1]
    assert variables["checking"].gamma == 0.9
