"""The layers of a network, as ``policy.json`` tells them; names are those of tensors in ``policy.safetensors``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from arena_ray.model.spec import Strict
from arena_ray.serving.spaces import Lenient, Number, Side


class Linear(Strict):
    """``x @ weight.T + bias``."""

    layer: Literal["linear"]
    in_features: Side
    out_features: Side
    weight: str
    bias: str | None


class LayerNorm(Strict):
    """``(x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias``, over each row."""

    layer: Literal["layer_norm"]
    features: Side
    epsilon: float = Field(ge=0)
    weight: str | None
    bias: str | None


class Arithmetic(Strict):
    """``x * by``, ``x + by`` or ``x / by``: a number, or a tensor with one for each of a row."""

    layer: Literal["scale", "shift", "divide"]
    by: float | str


class Clip(Lenient):
    """Numbers below *low* become *low*, those above *high* become *high*."""

    layer: Literal["clip"]
    low: Number
    high: Number


class Expectation(Strict):
    """The mean of *support* under the softmax over the atoms of each action, which lie side by side in a row."""

    layer: Literal["expectation"]
    actions: Side
    atoms: Side
    support: str


class Plain(Strict):
    """A layer without weights."""

    layer: Literal["flatten", "relu", "tanh", "sigmoid", "identity", "silu", "gelu", "elu", "leaky_relu"]


AnyLayer = Annotated[
    Linear | LayerNorm | Arithmetic | Clip | Expectation | Plain,
    Field(discriminator="layer"),
]
