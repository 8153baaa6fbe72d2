"""Drawings: what the registry knows, as PNG or SVG."""

from arena_ray.plots.lineage import save_lineage

__all__ = ["save_lineage"]
