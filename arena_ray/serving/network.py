"""Torch modules that we build from a description: no class and no code of the checkpoint's is ever used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from arena_ray.model.errors import PolicyUnusable
from arena_ray.serving.layers import AnyLayer, Arithmetic, Clip, Expectation, LayerNorm, Linear

_PLAIN = {
    "flatten": torch.nn.Flatten,
    "relu": torch.nn.ReLU,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
    "identity": torch.nn.Identity,
    "silu": torch.nn.SiLU,
    "gelu": torch.nn.GELU,
    "elu": torch.nn.ELU,
    "leaky_relu": torch.nn.LeakyReLU,
}
_OPERATIONS: Mapping[str, Any] = {"scale": torch.mul, "shift": torch.add, "divide": torch.true_divide}


class _Arithmetic(torch.nn.Module):  # type: ignore[misc]  # torch has no types here
    def __init__(self, operation: Any, by: Any) -> None:
        super().__init__()
        self._operation, self._by = operation, by

    def forward(self, values: Any) -> Any:
        return self._operation(values, self._by)


class _Clip(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self._low, self._high = low, high

    def forward(self, values: Any) -> Any:
        return values.clamp(self._low, self._high)


class _Expectation(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, actions: int, support: Any) -> None:
        super().__init__()
        self._shape = (actions, len(support))
        self._support = support

    def forward(self, values: Any) -> Any:
        masses = torch.softmax(values.view(len(values), *self._shape), dim=2)
        return (masses * self._support).sum(2)


def build_network(network: Sequence[AnyLayer], tensors: Mapping[str, Any], *, place: str) -> Any:
    """Return the ``torch.nn.Sequential`` of the layers of *network*.

    Args:
        network: The layers.
        tensors: The weights by name; they become those of the module, without a copy.
        place: Where the weights lie, for the error.

    Raises:
        PolicyUnusable: A weight is missing, or has another shape or type than the description says.
    """
    layers = [_build(layer, _Tensors(tensors, place)) for layer in network]
    kinds = {layer.weight.dtype for layer in layers if isinstance(layer, torch.nn.Linear)}
    if len(kinds) != 1:
        raise PolicyUnusable(place, reason=f"its layers are of {len(kinds)} number types: {kinds or 'none'}")
    return torch.nn.Sequential(*layers).eval()


class _Tensors:
    """The weights by name, each compared with what the description says of it."""

    def __init__(self, tensors: Mapping[str, Any], place: str) -> None:
        self._tensors = tensors
        self._place = place

    def get(self, name: str, shape: Sequence[int] | None = None) -> Any:
        """Return the tensor *name*, of *shape* where that is known."""
        tensor = self._tensors.get(name)
        if tensor is None:
            raise PolicyUnusable(self._place, reason=f"its policy.safetensors has no {name}")
        if not tensor.is_floating_point() or (shape is not None and list(tensor.shape) != list(shape)):
            has = f"{tensor.dtype} of shape {list(tensor.shape)}"
            asked = "" if shape is None else f" of shape {list(shape)}"
            raise PolicyUnusable(self._place, reason=f"{name} is {has}; its description says numbers{asked}")
        return tensor

    def parameter(self, name: str, shape: Sequence[int], dtype: Any = None) -> Any:
        """Return the tensor *name* as a parameter that is not trained."""
        tensor = self.get(name, shape)
        return torch.nn.Parameter(tensor if dtype is None else tensor.to(dtype), requires_grad=False)


def _build(layer: Any, tensors: _Tensors) -> Any:
    if isinstance(layer, Linear):
        return _build_linear(layer, tensors)
    if isinstance(layer, LayerNorm):
        return _build_layer_norm(layer, tensors)
    if isinstance(layer, Arithmetic):
        by = tensors.get(layer.by).flatten() if isinstance(layer.by, str) else layer.by
        return _Arithmetic(_OPERATIONS[layer.layer], by)
    if isinstance(layer, Clip):
        return _Clip(layer.low, layer.high)
    if isinstance(layer, Expectation):
        return _Expectation(layer.actions, tensors.get(layer.support, [layer.atoms]))
    return _PLAIN[layer.layer]()


def _build_linear(layer: Linear, tensors: _Tensors) -> Any:
    # on meta: no memory for weights that are replaced at once
    built = torch.nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    built.weight = tensors.parameter(layer.weight, [layer.out_features, layer.in_features])
    if layer.bias is not None:
        built.bias = tensors.parameter(layer.bias, [layer.out_features], built.weight.dtype)
    return built


def _build_layer_norm(layer: LayerNorm, tensors: _Tensors) -> Any:
    built = torch.nn.LayerNorm(layer.features, eps=layer.epsilon, device="meta")
    for name in ("weight", "bias"):
        stored = getattr(layer, name)
        setattr(built, name, None if stored is None else tensors.parameter(stored, [layer.features]))
    return built
