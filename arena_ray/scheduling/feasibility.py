"""Whether any node could ever satisfy a request. Ray itself would wait for ever, without a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arena_ray.model.errors import InfeasibleResources
from arena_ray.model.spec import Resources


@dataclass(frozen=True)
class NodeCapacity:
    """What a node has in all, idle or not."""

    address: str
    cpu: float
    gpu: float
    memory_gib: float

    def fits(self, resources: Resources) -> bool:
        """Whether the node, idle, could take a run with these resources."""
        return resources.cpu <= self.cpu and resources.gpu <= self.gpu and resources.memory_gib <= self.memory_gib

    def __str__(self) -> str:
        return f"{self.address}: cpu {self.cpu:g}, gpu {self.gpu:g}, memory {self.memory_gib:.1f} GiB"


def require_feasible(resources: Resources, nodes: Sequence[NodeCapacity]) -> None:
    """Check that some node could take a run with these resources.

    Raises:
        InfeasibleResources: None can; says what each node has.
    """
    if not any(node.fits(resources) for node in nodes):
        raise InfeasibleResources(str(resources), nodes=[str(node) for node in nodes])
