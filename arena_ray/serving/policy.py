"""A policy that acts: read from its two files, nothing of which is ever run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from arena_ray.model.errors import PolicyUnusable
from arena_ray.serving.description import Box, Description, parse_description
from arena_ray.serving.network import build_network
from arena_ray.serving.observations import ObservationCheck
from arena_ray.serving.policy_files import read_deployed

PROBED_OBSERVATIONS = 64
_WIDEST_RANGE = 1e6  # wider bounds only say that there are none


class Policy:
    """Acts greedily: the action with the largest output."""

    def __init__(self, description: Description, network: Any, *, place: str) -> None:
        self.description = description
        self.check = ObservationCheck(description.observations)
        self._place = place
        self._network = network
        self._dtype = next(iter(network.parameters())).dtype
        self._start = description.actions.start

    @classmethod
    def load(cls, root: Path, *, digest: str) -> Self:
        """Return the policy whose files lie at *root*.

        Raises:
            PolicyUnusable: The files are not those of this *digest*, or are no policy that we can build.
        """
        files = read_deployed(root, digest=digest)
        description = parse_description(files.description, place=str(root))
        assert description.policy is not None, "checked by parse_description"
        try:
            tensors = safetensors.torch.load(files.weights)
        except (SafetensorError, ValueError, KeyError) as exc:
            reason = f"its policy.safetensors is no safetensors file: {exc}"
            raise PolicyUnusable(str(root), reason=reason) from exc
        return cls(description, build_network(description.policy, tensors, place=str(root)), place=str(root))

    def outputs(self, observations: Any) -> Any:
        """Return logits or Q-values, one row an observation.

        Args:
            observations: An array ``[n, *shape]``.
        """
        with torch.inference_mode():
            return self._network(torch.as_tensor(observations).to(self._dtype))

    def act(self, observations: Any) -> list[int]:
        """Return the greedy action for each of *observations*, an array ``[n, *shape]``."""
        chosen: list[int] = self.outputs(observations).argmax(dim=1).tolist()
        return [self._start + index for index in chosen] if self._start else chosen

    def probe(self) -> None:
        """Try the policy on made-up observations, so that one which cannot act is never put behind its name.

        Raises:
            PolicyUnusable: It fails, its outputs are not finite, or it has more or fewer of them than actions.
        """
        try:
            sample = _sample(self.description.observations)
            outputs = self.outputs(sample)
        except (RuntimeError, ValueError, TypeError) as exc:
            raise PolicyUnusable(self._place, reason=f"it does not act: {exc}") from exc
        actions = self.description.actions.n
        if tuple(outputs.shape) != (len(sample), actions):
            has = list(outputs.shape[1:])
            raise PolicyUnusable(self._place, reason=f"it gives {has} outputs an observation for {actions} actions")
        if not bool(torch.isfinite(outputs).all()):
            raise PolicyUnusable(self._place, reason="its outputs are not finite; did its training diverge?")


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
