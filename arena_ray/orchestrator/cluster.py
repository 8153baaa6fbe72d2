"""What the Ray cluster has, as seen from inside it."""

from __future__ import annotations

from typing import Any

import ray
from ray._private.state import available_resources_per_node

from arena_ray.orchestrator.api import Cluster, Node
from arena_ray.scheduling.feasibility import NodeCapacity

GIB = 1 << 30
HEAD_RESOURCE = "node:__internal_head__"
"""Ray gives one of it to the head; a fraction of it pins an actor there."""


def _node(raw: dict[str, Any], free: dict[str, float]) -> Node:
    has = raw["Resources"]
    return Node(
        node_id=raw["NodeID"],
        address=raw["NodeManagerAddress"],
        is_alive=raw["Alive"],
        is_head=HEAD_RESOURCE in has,
        cpu=has.get("CPU", 0.0),
        gpu=has.get("GPU", 0.0),
        memory_gib=has.get("memory", 0.0) / GIB,
        cpu_free=free.get("CPU", 0.0),
        gpu_free=free.get("GPU", 0.0),
    )


def describe_cluster() -> Cluster:
    """Return the cluster's nodes, the living first."""
    free = available_resources_per_node()
    nodes = [_node(raw, free.get(raw["NodeID"], {})) for raw in ray.nodes()]
    nodes.sort(key=lambda node: (not node.is_alive, not node.is_head, node.node_id))
    return Cluster(ray_address=ray.get_runtime_context().gcs_address, nodes=nodes)


def capacity() -> list[NodeCapacity]:
    """Return what each living node has in all."""
    return [
        NodeCapacity(f"node {node.node_id[:8]} ({node.address})", node.cpu, node.gpu, node.memory_gib)
        for node in describe_cluster().nodes
        if node.is_alive
    ]
