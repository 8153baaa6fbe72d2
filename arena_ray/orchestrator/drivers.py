"""What the orchestrator asks of whoever starts experiment drivers."""

from __future__ import annotations

from typing import Protocol


class Drivers(Protocol):
    """Where experiment drivers come from."""

    def ensure(self, experiment_id: str) -> None:
        """See to it that the experiment has a living driver. Called often; cheap where there is one."""
        ...
