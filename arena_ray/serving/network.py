"""Torch modules that we build from a description: no class and no code of the checkpoint's is ever used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from arena_ray.model.errors import PolicyUnusable
from arena_ray.serving.description import Linear, Network

_PLAIN = {
    "flatten": torch.nn.Flatten,
    "relu": torch.nn.ReLU,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
    "identity": torch.nn.Identity,
}


def build_network(network: Network, tensors: Mapping[str, Any], *, place: str) -> Any:
    """Return the ``torch.nn.Sequential`` that *network* describes.

    Args:
        network: The layers.
        tensors: The weights by name; they become those of the module, without a copy.
        place: Where the weights lie, for the error.

    Raises:
        PolicyUnusable: A weight is missing, or has another shape or type than the description says.
    """
    layers: list[Any] = []
    for layer in network.network:
        layers.append(_build_linear(layer, tensors, place) if isinstance(layer, Linear) else _PLAIN[layer.layer]())
    kinds = {layer.weight.dtype for layer in layers if isinstance(layer, torch.nn.Linear)}
    if len(kinds) != 1:
        raise PolicyUnusable(place, reason=f"its layers are of {len(kinds)} number types: {kinds or 'none'}")
    return torch.nn.Sequential(*layers).eval()


def _build_linear(layer: Linear, tensors: Mapping[str, Any], place: str) -> Any:
    weight = _tensor(tensors, layer.weight, [layer.out_features, layer.in_features], place)
    # on meta: no memory for weights that are replaced at once
    built = torch.nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    built.weight = torch.nn.Parameter(weight, requires_grad=False)
    if layer.bias is not None:
        bias = _tensor(tensors, layer.bias, [layer.out_features], place)
        built.bias = torch.nn.Parameter(bias.to(weight.dtype), requires_grad=False)
    return built


def _tensor(tensors: Mapping[str, Any], name: str, shape: list[int], place: str) -> Any:
    tensor = tensors.get(name)
    if tensor is None:
        raise PolicyUnusable(place, reason=f"its policy.safetensors has no {name}")
    if list(tensor.shape) != shape or not tensor.is_floating_point():
        has = f"{tensor.dtype} of shape {list(tensor.shape)}"
        raise PolicyUnusable(place, reason=f"{name} is {has}; its description says numbers of shape {shape}")
    return tensor
