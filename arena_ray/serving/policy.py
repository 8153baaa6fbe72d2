"""A policy that acts: read from its files, nothing of which is ever run but a graph that was made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from arena_ray.model.errors import BadObservation, PolicyUnusable
from arena_ray.serving import steps
from arena_ray.serving.description import Description, Graph, parse_description
from arena_ray.serving.graph import load_graph
from arena_ray.serving.network import build_network
from arena_ray.serving.observations import ObservationCheck
from arena_ray.serving.policy_files import PolicyFiles, read_deployed
from arena_ray.serving.spaces import Box, Discrete

PROBED_OBSERVATIONS = 64
_WIDEST_RANGE = 1e6  # wider bounds only say that there are none


class Policy:
    """Acts as its description says, never at random: by the largest output, or by the outputs themselves."""

    def __init__(self, description: Description, network: Any, *, dtype: Any, place: str) -> None:
        assert description.policy is not None, "checked by parse_description"
        self.description = description
        self.check = ObservationCheck(description.observations)
        self._place = place
        self._network = network
        self._dtype = dtype
        self._gives_indices = isinstance(description.policy, Graph) and isinstance(description.actions, Discrete)
        self._prepare = steps.build(description.policy.observation)
        self._finish = steps.build(description.policy.action)

    @classmethod
    def load(cls, root: Path, *, digest: str) -> Self:
        """Return the policy whose files lie at *root*.

        Raises:
            PolicyUnusable: The files are not those of this *digest*, or are no policy that we can build.
        """
        files = read_deployed(root, digest=digest)
        description = parse_description(files.description, place=str(root))
        network, dtype = _network(description, files, place=str(root))
        try:
            return cls(description, network, dtype=dtype, place=str(root))
        except ValueError as exc:
            raise PolicyUnusable(str(root), reason=f"the numbers of its steps are no array: {exc}") from exc

    def outputs(self, observations: Any) -> Any:
        """Return what the network gives, one row an observation: logits, Q-values, or the numbers of actions.

        A graph gives actions themselves.

        Args:
            observations: An array ``[n, *shape]``, as the environment gives them.
        """
        with torch.inference_mode():
            return self._network(torch.as_tensor(self._prepare(observations)).to(self._dtype))

    def act(self, observations: Any) -> list[Any]:
        """Return the action for each of *observations*, an array ``[n, *shape]``: an index, or a row of numbers.

        Raises:
            BadObservation: They are so large that the action is not finite, or none is better than another.
        """
        return self._actions(self.outputs(observations))

    def _actions(self, outputs: Any) -> list[Any]:
        space = self.description.actions
        if isinstance(space, Discrete):
            if outputs.isnan().any():
                raise BadObservation(expected=self.check.expected, got="numbers for which the network gives NaN")
            chosen: list[int] = (outputs if self._gives_indices else outputs.argmax(dim=1)).tolist()
            return [space.start + index for index in chosen] if space.start else chosen
        numbers = self._finish(outputs.numpy())
        if not np.isfinite(numbers).all():
            raise BadObservation(expected=self.check.expected, got="numbers for which the action is not finite")
        actions: list[list[float]] = numbers.tolist()
        return actions

    def probe(self) -> None:
        """Try the policy on made-up observations, so that one which cannot act is never put behind its name.

        Raises:
            PolicyUnusable: It fails, its outputs are not finite, or it has more or fewer of them than are asked for.
        """
        try:
            sample = _sample(self.description.observations)
            outputs = self.outputs(sample)
        except (RuntimeError, ValueError, TypeError) as exc:
            raise PolicyUnusable(self._place, reason=f"it does not act: {exc}") from exc
        space = self.description.actions
        asked = space.n if isinstance(space, Discrete) else space.shape[0]
        expected = (len(sample),) if self._gives_indices else (len(sample), asked)
        if tuple(outputs.shape) != expected:
            for_what = f"{asked} actions" if isinstance(space, Discrete) else f"an action of {asked} numbers"
            has = list(outputs.shape[1:])
            raise PolicyUnusable(self._place, reason=f"it gives {has} outputs an observation for {for_what}")
        if not bool(torch.isfinite(outputs).all()):
            raise PolicyUnusable(self._place, reason="its outputs are not finite; did its training diverge?")
        try:
            actions = np.asarray(self._actions(outputs))
        except ValueError as exc:
            raise PolicyUnusable(self._place, reason=f"what follows the network fails: {exc}") from exc
        if self._gives_indices and not np.isin(actions, range(asked)).all():
            raise PolicyUnusable(self._place, reason=f"it gives indices that are none of its {asked} actions")
        if actions.shape != (len(sample), asked)[: actions.ndim] or actions.ndim != 1 + isinstance(space, Box):
            raise PolicyUnusable(self._place, reason=f"its actions are of shape {list(actions.shape[1:])}")


def _network(description: Description, files: PolicyFiles, *, place: str) -> tuple[Any, Any]:
    """Return what computes the policy's outputs, and the type of the numbers that it takes."""
    policy = description.policy
    if isinstance(policy, Graph):
        return load_graph(policy, files.graph, place=place), getattr(torch, policy.dtype)
    assert policy is not None, "checked by parse_description"
    try:
        tensors = safetensors.torch.load(files.weights)
    except (SafetensorError, ValueError, KeyError) as exc:
        raise PolicyUnusable(place, reason=f"its policy.safetensors is no safetensors file: {exc}") from exc
    network = build_network(policy.network, tensors, place=place)
    return network, next(iter(network.parameters())).dtype


def _sample(space: Box) -> Any:
    """Return a zero observation and random ones: within the bounds where there are some."""
    random = np.random.default_rng(0)
    shape = (PROBED_OBSERVATIONS, *space.shape)
    low, high = (np.broadcast_to(np.asarray(bound, dtype=np.float64), space.shape) for bound in (space.low, space.high))
    with np.errstate(over="ignore", invalid="ignore"):
        is_bounded = np.isfinite(high - low) & (high - low <= _WIDEST_RANGE)
    within = random.uniform(np.where(is_bounded, low, -1.0), np.where(is_bounded, high, 1.0), size=shape)
    sample = np.where(is_bounded, within, random.standard_normal(shape))
    sample[0] = 0.0
    return sample.astype(space.dtype)
