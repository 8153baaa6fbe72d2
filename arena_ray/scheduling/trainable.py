"""The run actor: a Tune trainable that reserves a run's resources and supervises its training process."""

from __future__ import annotations

import os
from typing import Any

import ray
from ray import tune

from arena_ray.model.states import RunState
from arena_ray.runner.discovery import load_runners
from arena_ray.runner.user_folder import folder_of_this_user
from arena_ray.runner.warm_pool import WarmPool
from arena_ray.scheduling.execution_port import ExploitOrder
from arena_ray.scheduling.port import RayPort
from arena_ray.scheduling.supervision import Supervision

REPORT_INTERVAL_S = 0.5
OUTCOME = "arena_outcome"
MILESTONE = "arena_milestone"
"""Key of a result of a run that holds: the :class:`~arena_ray.model.records.Milestone` at which it does."""


class RunTrainable(tune.Trainable):
    """One run on one node. A thin shell: all that it does is in :class:`Supervision`."""

    def setup(self, config: dict[str, Any]) -> None:
        """Make ready for the run's next attempt, which the first step begins.

        Tune may give the trial to an idle actor while this one is still coming up: nothing is begun until it is asked.
        """
        self._name, self._run_id, self._course = config["name"], config["run_id"], config["course"]
        self._is_started = False
        node = ray.get_runtime_context().get_node_id()
        pool = WarmPool(owner=os.getppid(), directory=folder_of_this_user("pool"))  # the parent is the node's raylet
        self._supervision = Supervision(RayPort.find(), runners=load_runners().runners, node=node, pool=pool)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Serve another run from now on."""
        self.cleanup()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Let the training go on for one report interval; a stop waits no longer than that."""
        if not self._is_started:
            self._is_started = True
            self._supervision.start(self._run_id, course=self._course)
        progress = self._supervision.advance(REPORT_INTERVAL_S)
        result: dict[str, Any] = {
            "global_step": progress.global_step,
            "episodic_return": progress.episodic_return,
            "steps_per_second": progress.steps_per_second,
            "attempt": progress.attempt,
            "generation": progress.generation,
            "name": self._name,
        }
        if progress.outcome is not None:
            result[OUTCOME] = progress.outcome.value
            result["done"] = progress.outcome is not RunState.PAUSED
        elif progress.milestone is not None:
            result[MILESTONE] = progress.milestone
        return result

    def decide(self, order: ExploitOrder | None) -> None:
        """Let the run go on that holds at a milestone, with another run's weights where there is an *order*."""
        self._supervision.decide(order)

    def leave(self) -> None:
        """Give way to another run, where this one holds."""
        self._supervision.leave()

    def cleanup(self) -> None:
        """End the training process."""
        self._supervision.close()

    def __repr__(self) -> str:
        return getattr(self, "_name", "run")
