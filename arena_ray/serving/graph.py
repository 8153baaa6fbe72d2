"""Policies as graphs of torch's, which this cluster has made: reading one may run what stands in it."""

from __future__ import annotations

import io
import warnings
from typing import Any

import torch

from arena_ray.model.errors import PolicyUnusable
from arena_ray.serving.description import Graph


def load_graph(graph: Graph, content: bytes | None, *, place: str) -> Any:
    """Return a function that takes a batch of observations to a batch of actions.

    Args:
        graph: What its description says.
        content: The graph's file. The caller has compared its digest with that of what was written here.
        place: Where it lies, for the error.

    Raises:
        PolicyUnusable: It is not there, or this torch cannot read it.
    """
    if content is None:
        raise PolicyUnusable(place, reason="its policy.json speaks of a graph, and no policy.pt2 was deployed with it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of modules that torch deprecates and uses
            module = torch.export.load(io.BytesIO(content)).module()
    except Exception as exc:
        reason = f"torch {torch.__version__} cannot read its graph, which torch {graph.torch} has written: {exc}"
        raise PolicyUnusable(place, reason=reason) from exc
    return module if graph.takes_batches else lambda rows: torch.cat([module(row) for row in rows.split(1)])
