"""The run actor: a Tune trainable that reserves a run's resources and supervises its training process."""

from __future__ import annotations

from typing import Any

import ray
from ray import tune

from arena_ray.model.states import RunState
from arena_ray.runner.discovery import load_runners
from arena_ray.scheduling.port import RayPort
from arena_ray.scheduling.supervision import Supervision

REPORT_INTERVAL_S = 0.5
OUTCOME = "arena_outcome"


class RunTrainable(tune.Trainable):
    """One run on one node. A thin shell: all that it does is in :class:`Supervision`."""

    def setup(self, config: dict[str, Any]) -> None:
        """Start the run's next attempt."""
        self._name = config["name"]
        node = ray.get_runtime_context().get_node_id()
        self._supervision = Supervision(RayPort.find(), runners=load_runners().runners, node=node)
        self._supervision.start(config["run_id"])

    def step(self) -> dict[str, Any]:
        """Let the training go on for one report interval; a stop waits no longer than that."""
        progress = self._supervision.advance(REPORT_INTERVAL_S)
        result: dict[str, Any] = {
            "global_step": progress.global_step,
            "episodic_return": progress.episodic_return,
            "steps_per_second": progress.steps_per_second,
            "attempt": progress.attempt,
        }
        if progress.outcome is not None:
            result[OUTCOME] = progress.outcome.value
            result["done"] = progress.outcome is not RunState.PAUSED
        return result

    def cleanup(self) -> None:
        """End the training process."""
        self._supervision.close()

    def __repr__(self) -> str:
        return getattr(self, "_name", "run")
