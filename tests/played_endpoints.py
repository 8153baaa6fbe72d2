"""Endpoints of policies without Ray Serve."""

from __future__ import annotations

from pathlib import Path

from arena_ray.model.errors import EndpointUnavailable
from arena_ray.serving.target import Target


class PlayedEndpoints:
    """Endpoints without Serve: they load what they are told, in this process, and fail when told to."""

    def __init__(self) -> None:
        self.answering: dict[str, Target] = {}
        self.told: list[Target] = []
        self.fails: str | None = None

    def probe(self, target: Target) -> None:
        from arena_ray.serving.policy import Policy

        Policy.load(Path(target.root), digest=target.digest).probe()

    def serve(self, target: Target) -> None:
        self.told.append(target)
        if self.fails:
            raise EndpointUnavailable(self.fails)
        self.answering[target.name] = target

    def remove(self, name: str) -> None:
        self.answering.pop(name, None)

    def url(self, name: str) -> str | None:
        return f"http://played/policies/{name}"

    def names(self) -> set[str]:
        return set(self.answering)
