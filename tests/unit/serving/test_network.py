"""Each layer computes what torch's own does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from arena_ray.model.errors import PolicyUnusable
from arena_ray.serving.layers import AnyLayer
from arena_ray.serving.network import build_network

FIRST = {"layer": "linear", "in_features": 3, "out_features": 4, "weight": "w", "bias": None}
LAYERS = TypeAdapter(list[AnyLayer])


def tensors() -> dict[str, Any]:
    torch.manual_seed(0)
    return {
        "w": torch.randn(4, 3),
        "g": torch.randn(4),
        "b": torch.randn(4),
        "row": torch.randn(1, 4),
        "s": torch.randn(2),
    }


def output(*layers: dict[str, Any]) -> Any:
    built = build_network(LAYERS.validate_python([FIRST, *layers]), tensors(), place="here")
    return built(torch.linspace(-2, 2, 15).reshape(5, 3))


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("relu", nn.ReLU()),
        ("tanh", nn.Tanh()),
        ("sigmoid", nn.Sigmoid()),
        ("silu", nn.SiLU()),
        ("gelu", nn.GELU()),
        ("elu", nn.ELU()),
        ("leaky_relu", nn.LeakyReLU()),
        ("identity", nn.Identity()),
    ],
)
def test_a_layer_without_weights_is_the_module_of_its_name(name: str, module: Any) -> None:
    assert torch.equal(output({"layer": name}), module(output()))


def test_a_layer_norm_is_over_each_row() -> None:
    layer = {"layer": "layer_norm", "features": 4, "epsilon": 0.1}
    expected = nn.functional.layer_norm(output(), (4,), tensors()["g"], tensors()["b"], eps=0.1)
    assert torch.equal(output({**layer, "weight": "g", "bias": "b"}), expected)
    assert torch.equal(
        output({**layer, "weight": None, "bias": None}), nn.functional.layer_norm(output(), (4,), eps=0.1)
    )


def test_arithmetic_is_by_a_number_or_by_one_for_each_of_a_row() -> None:
    assert torch.equal(output({"layer": "scale", "by": "row"}), output() * tensors()["row"])
    assert torch.equal(output({"layer": "shift", "by": -0.5}), output() - 0.5)
    assert torch.equal(output({"layer": "divide", "by": 3.0}), output() / 3.0)


def test_a_clip_may_have_one_bound() -> None:
    assert torch.equal(output({"layer": "clip", "low": "-inf", "high": 0.1}), output().clamp(max=0.1))


def test_an_expectation_is_the_mean_of_the_atoms_of_each_action() -> None:
    masses = output().view(5, 2, 2).softmax(2)
    expected = torch.stack([(masses[:, action] * tensors()["s"]).sum(1) for action in range(2)], dim=1)
    assert torch.allclose(output({"layer": "expectation", "actions": 2, "atoms": 2, "support": "s"}), expected)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ({"layer": "scale", "by": "nothing"}, "has no nothing"),
        (
            {"layer": "layer_norm", "features": 3, "epsilon": 0, "weight": "g", "bias": None},
            r"g is torch.float32 of shape",
        ),
        ({"layer": "expectation", "actions": 1, "atoms": 4, "support": "s"}, r"s is torch.float32 of shape \[2\]"),
    ],
)
def test_a_tensor_that_is_not_there_or_does_not_fit_is_named(layer: dict[str, Any], reason: str) -> None:
    with pytest.raises(PolicyUnusable, match=reason):
        output(layer)
