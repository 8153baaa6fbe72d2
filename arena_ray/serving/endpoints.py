"""What the orchestrator asks of whoever lets policies answer."""

from __future__ import annotations

from typing import Protocol

from arena_ray.model.settings import Settings
from arena_ray.serving.target import Target

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Endpoints(Protocol):
    """Where policies answer."""

    def probe(self, target: Target) -> None:
        """Load and try a version, in another process than those that answer.

        Raises:
            PolicyUnusable: It cannot be read, or does not act.
        """
        ...

    def serve(self, target: Target) -> None:
        """Have the name answer with *target*, and return when it does.

        Raises:
            EndpointUnavailable: It does not in time; what answered before goes on.
        """
        ...

    def remove(self, name: str) -> None:
        """Answer for *name* no more; nothing happens where nobody does."""
        ...

    def url(self, name: str) -> str | None:
        """Return where *name* would answer, or None before anything was served."""
        ...

    def names(self) -> set[str]:
        """Return the policies that answer, or are about to."""
        ...


def is_open(settings: Settings) -> bool:
    """Return whether others than this machine's users may reach the endpoints, so that a token must be asked for.

    A Ray cluster of the user's may run Serve already, at an address that is not ours to choose.
    """
    return bool(settings.ray_address) or settings.serve_host not in _LOOPBACK
