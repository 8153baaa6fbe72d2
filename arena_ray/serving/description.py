"""What ``policy.json`` says, checked strictly: it may come from anywhere. The form: docs/reference/policy.md."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from arena_ray.model.errors import PolicyUnusable
from arena_ray.model.spec import Strict
from arena_ray.serving.layers import AnyLayer
from arena_ray.serving.spaces import Box, Discrete, Other
from arena_ray.serving.steps import AnyStep

ACTS = {
    "categorical": "mode",
    "q_values": "greedy",
    "gaussian": "mean",
    "squashed_gaussian": "mean",
    "deterministic": "output",
}
"""How a policy of each kind acts: never at random."""

INDICES = ("categorical", "q_values")
"""Kinds whose action is the index of the largest output; of the others it is the outputs."""

_KINDS = (*ACTS, "graph")
_MOST_LAYERS = 1000


class Environment(Strict):
    """Where the policy was trained, without its wrappers, which are named from the outermost inwards."""

    env_id: str | None
    observation_space: Box | Discrete | Other
    action_space: Box | Discrete | Other
    wrappers: list[str] = Field(default_factory=list)


class Network(Strict):
    """How to act: what happens to an observation, the layers, what their outputs are, and what happens to an action."""

    kind: Literal["categorical", "q_values", "gaussian", "squashed_gaussian", "deterministic"]
    act: str
    module: str
    observation: list[AnyStep] = Field(default_factory=list, max_length=_MOST_LAYERS)
    network: list[AnyLayer] = Field(min_length=1, max_length=_MOST_LAYERS)
    action: list[AnyStep] = Field(default_factory=list, max_length=_MOST_LAYERS)

    @model_validator(mode="after")
    def _acts_as_its_kind(self) -> Network:
        if self.act != ACTS[self.kind]:
            raise ValueError(f"a policy that is {self.kind} acts by its {ACTS[self.kind]}, not by its {self.act!r}")
        return self


class Graph(Strict):
    """How to act where layers could not be read: by a graph that gives the action itself, as the script takes it."""

    kind: Literal["graph"]
    act: Literal["output"]
    module: str
    observation: list[AnyStep] = Field(default_factory=list, max_length=_MOST_LAYERS)
    dtype: Literal["float16", "bfloat16", "float32", "float64"]
    takes_batches: bool
    torch: str
    action: list[AnyStep] = Field(default_factory=list, max_length=_MOST_LAYERS)


AnyPolicy = Annotated[Network | Graph, Field(discriminator="kind")]


class Description(Strict):
    """All of ``policy.json``. One of ``policy`` and ``missing`` is there."""

    schema_version: Literal[4]
    script: str
    modules: dict[str, str]
    global_step: int
    boundary: int
    environment: Environment | None = None
    policy: AnyPolicy | None = None
    missing: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _newest(cls, said: Any) -> Any:
        """Say in the words of the newest version what an older one says."""
        if not isinstance(said, dict) or said.get("schema_version") not in (2, 3):
            return said
        policy = said.get("policy")
        if isinstance(policy, dict) and policy.get("kind") == "graph":
            raise ValueError("there were no graphs before version 4")
        if isinstance(policy, dict) and said["schema_version"] == 2:
            if policy.get("kind") not in INDICES or policy.keys() - {"kind", "module", "network"}:
                raise ValueError("its policy is not one that version 2 can describe")
            said = said | {"policy": policy | {"act": ACTS[policy["kind"]]}}
        return said | {"schema_version": 4}

    @model_validator(mode="after")
    def _is_whole(self) -> Description:
        if self.policy is None and self.missing is None:
            raise ValueError("neither a policy nor why it is missing")
        if self.policy is None:
            return self
        spaces = self.environment and (self.environment.observation_space, self.environment.action_space)
        asked: Any = Discrete if self.policy.kind in INDICES else Box
        if isinstance(self.policy, Graph):
            asked = Discrete | Box
        if not spaces or not isinstance(spaces[0], Box) or not isinstance(spaces[1], asked):
            known = {Discrete: "discrete actions", Box: "a box of actions"}
            kinds = known.get(asked, "discrete actions or a box of them")
            raise ValueError(f"a policy that is {self.policy.kind} needs a box of observations and {kinds}")
        if isinstance(spaces[1], Box) and (len(spaces[1].shape) != 1 or not spaces[1].dtype.startswith("float")):
            raise ValueError("an action of numbers is one row of them, with a fraction")
        if isinstance(spaces[1], Discrete) and self.policy.action:
            raise ValueError("an action that is an index cannot be changed")
        return self

    @property
    def observations(self) -> Box:
        """The space of the observations, of a description with a policy."""
        assert self.environment is not None, "asked of a description without a policy"
        assert isinstance(self.environment.observation_space, Box), "checked by parse_description"
        return self.environment.observation_space

    @property
    def actions(self) -> Discrete | Box:
        """The space of the actions, of a description with a policy."""
        assert self.environment is not None, "asked of a description without a policy"
        assert not isinstance(self.environment.action_space, Other), "checked by parse_description"
        return self.environment.action_space


def parse_description(text: str | bytes, *, place: str) -> Description:
    """Return what the text of a ``policy.json`` says, if it has a policy.

    Args:
        text: The file's content.
        place: Where it lies, for the error.

    Raises:
        PolicyUnusable: It is something else, of another version, or describes no policy.
    """
    description = read_description(text, place=place)
    if description.policy is None:
        raise PolicyUnusable(place, reason=f"no policy was exported: {description.missing}")
    return description


def read_description(text: str | bytes, *, place: str) -> Description:
    """Return what the text of a ``policy.json`` says, also if it only says why there is no policy.

    Raises:
        PolicyUnusable: It is something else, or of another version.
    """
    try:
        return Description.model_validate_json(text)
    except ValidationError as exc:
        problem = exc.errors(include_url=False)[0]
        place_in_file = [part for part in problem["loc"] if part not in _KINDS]
        where = ".".join(map(str, place_in_file)) or "the file"
        raise PolicyUnusable(place, reason=f"{where} of its policy.json: {problem['msg']}") from exc
