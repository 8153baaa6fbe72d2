"""What ``policy.json`` says, checked strictly: it may come from anywhere. The form: docs/reference/policy.md."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError, model_validator

from arena_ray.model.errors import PolicyUnusable
from arena_ray.model.spec import Strict

MOST_NUMBERS = (
    10_000_000  # of one observation, and weights of one layer's side: no description makes us run out of memory
)

_Side = Annotated[int, Field(ge=1, le=MOST_NUMBERS)]


def _infinity(value: Any) -> Any:
    if isinstance(value, list):
        return [_infinity(item) for item in value]
    return {"inf": math.inf, "-inf": -math.inf}.get(value, value) if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return ("inf" if value > 0 else "-inf") if isinstance(value, float) and math.isinf(value) else value


Bounds = Annotated[float | list[Any], BeforeValidator(_infinity), PlainSerializer(_as_text, when_used="json")]
"""One number for all, or nested lists of the space's shape; infinities are the strings ``inf`` and ``-inf``."""


class Lenient(Strict):
    """A value that may hold infinities."""

    model_config = Strict.model_config | {"allow_inf_nan": True}


class Box(Lenient):
    """Observations: arrays of one shape and dtype, within bounds."""

    space: Literal["box"]
    shape: list[_Side]
    dtype: str = Field(pattern=r"^(float(16|32|64)|u?int(8|16|32|64))$")
    low: Bounds
    high: Bounds


class Discrete(Strict):
    """Actions: *n* whole numbers from *start* on."""

    space: Literal["discrete"]
    n: _Side
    start: int = 0


class Other(Strict):
    """A space that no policy can be described for."""

    space: str


class Environment(Strict):
    """Where the policy was trained; wrappers are named from the outermost inwards."""

    env_id: str | None
    observation_space: Box | Discrete | Other
    action_space: Box | Discrete | Other
    wrappers: list[str] = Field(default_factory=list)


class Linear(Strict):
    """``x @ weight.T + bias``; names of tensors in ``policy.safetensors``."""

    layer: Literal["linear"]
    in_features: _Side
    out_features: _Side
    weight: str
    bias: str | None


class Plain(Strict):
    """A layer without weights."""

    layer: Literal["flatten", "relu", "tanh", "sigmoid", "identity"]


class Network(Strict):
    """How to act: the layers, and what their outputs are. The greedy action is the index of the largest."""

    kind: Literal["categorical", "q_values"]
    module: str
    network: list[Annotated[Linear | Plain, Field(discriminator="layer")]] = Field(min_length=1, max_length=1000)


class Description(Strict):
    """All of ``policy.json``. One of ``policy`` and ``missing`` is there."""

    schema_version: Literal[2]
    script: str
    modules: dict[str, str]
    global_step: int
    boundary: int
    environment: Environment | None = None
    policy: Network | None = None
    missing: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Description:
        if self.policy is None and self.missing is None:
            raise ValueError("neither a policy nor why it is missing")
        if self.policy is None:
            return self
        spaces = self.environment and (self.environment.observation_space, self.environment.action_space)
        if not spaces or not isinstance(spaces[0], Box) or not isinstance(spaces[1], Discrete):
            raise ValueError("a policy needs an environment with a box of observations and discrete actions")
        return self

    @property
    def observations(self) -> Box:
        """The space of the observations, of a description with a policy."""
        assert self.environment is not None, "asked of a description without a policy"
        assert isinstance(self.environment.observation_space, Box), "checked by parse_description"
        return self.environment.observation_space

    @property
    def actions(self) -> Discrete:
        """The space of the actions, of a description with a policy."""
        assert self.environment is not None, "asked of a description without a policy"
        assert isinstance(self.environment.action_space, Discrete), "checked by parse_description"
        return self.environment.action_space


def parse_description(text: str | bytes, *, place: str) -> Description:
    """Return what the text of a ``policy.json`` says.

    Args:
        text: The file's content.
        place: Where it lies, for the error.

    Raises:
        PolicyUnusable: It is something else, of another version, or describes no policy.
    """
    try:
        description = Description.model_validate_json(text)
    except ValidationError as exc:
        problem = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise PolicyUnusable(place, reason=f"{where} of its policy.json: {problem['msg']}") from exc
    if description.policy is None:
        raise PolicyUnusable(place, reason=f"no policy was exported: {description.missing}")
    return description
