from __future__ import annotations

import pytest

from arena_ray.model.errors import InfeasibleResources
from arena_ray.model.spec import Resources
from arena_ray.scheduling.feasibility import NodeCapacity, require_feasible

NODES = [NodeCapacity("head", cpu=2, gpu=0, memory_gib=8), NodeCapacity("worker", cpu=1, gpu=2, memory_gib=8)]


@pytest.mark.parametrize(
    "resources", [Resources(cpu=2), Resources(cpu=1, gpu=2), Resources(cpu=0.5, gpu=0.25), Resources(memory_gib=8)]
)
def test_what_one_node_has_is_feasible(resources: Resources) -> None:
    require_feasible(resources, NODES)


@pytest.mark.parametrize(
    "resources", [Resources(cpu=3), Resources(gpu=3), Resources(cpu=2, gpu=1), Resources(memory_gib=9)]
)
def test_what_no_single_node_has_is_refused_with_what_there_is(resources: Resources) -> None:
    with pytest.raises(InfeasibleResources, match=r"worker: cpu 1, gpu 2, memory 8.0 GiB"):
        require_feasible(resources, NODES)


def test_a_cluster_without_nodes_is_no_crash() -> None:
    with pytest.raises(InfeasibleResources, match="no node at all"):
        require_feasible(Resources(), [])
