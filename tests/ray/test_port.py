"""Calls of the orchestrator that have to be repeated."""

from __future__ import annotations

import pytest
import ray

from arena_ray.model.errors import NotFound, RegistryError
from arena_ray.scheduling.port import RayPort


@ray.remote(num_cpus=0)
class Stumbling:
    """An orchestrator whose registry is out of reach for the first few calls."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    def call(self, method: str) -> str:
        if method == "unknown":
            raise NotFound("run", "r")
        if self.left:
            self.left -= 1
            raise RegistryError("away")
        return f"{method} done"


@pytest.fixture
def port_to(arena):
    return lambda failures, **keys: RayPort(Stumbling.remote(failures), **keys)


def test_a_call_is_repeated_until_the_registry_is_back(port_to) -> None:
    assert port_to(3).call("report") == "report done"


def test_a_registry_that_stays_away_and_other_errors_are_told(port_to) -> None:
    with pytest.raises(RegistryError, match="away"):
        port_to(10_000, patience_s=0.0).call("report")
    with pytest.raises(NotFound):
        port_to(0).call("unknown")
