"""What a replica is told to answer with."""

from __future__ import annotations

from arena_ray.model.spec import Strict

ROUTE = "/policies"
"""Prefix of all policies at the endpoint."""


class Target(Strict):
    """One version of a policy, where its files lie, and who may ask."""

    name: str
    version: int
    root: str
    digest: str
    token_digest: str | None = None
    """sha256 of the token that every request must carry; None asks for none."""
