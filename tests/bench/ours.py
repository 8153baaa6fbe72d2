"""A race under arena_ray."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster_kit import Arena
from embedded import open_arena
from race import ENV_ID, FLAGS, RULES, SCRIPT, SPACE, Outcome, Race, best_of, mean_return
from timeline import Stages, Timeline, stopwatch

from arena_ray.model.records import Execution, Run
from arena_ray.model.settings import Settings
from arena_ray.model.states import ExecutionState
from arena_ray.plugin.study import EPISODIC_RETURN

LOOK_EVERY_S = 0.5


class InPlace:
    """Population-based training as the plugin does it."""

    def __init__(self, arena: Arena, times: Path) -> None:
        self._arena = arena
        self._times = times
        self.arrivals: list[Stages] = []
        """Where the time went at each milestone of the last race."""

    def run_race(self, race: Race) -> Outcome:
        settings = {
            "population": race.population,
            "metric": EPISODIC_RETURN,
            "perturbation_interval": race.interval,
            "param_space": SPACE,
            **RULES,
        }
        experiment = self._arena.start_plugin(
            SCRIPT,
            env_id=ENV_ID,
            seed=race.seed,
            flags=FLAGS | {"total_timesteps": race.steps},
            resources={"cpu": race.cpu},
            plugin={"name": "pbt", "settings": settings},
        )
        execution = self._ended(experiment)
        assert execution.ended_at is not None
        lineage = self._arena.client.lineage(experiment)
        names = {run.run_id: run.name for run in lineage.runs}
        timeline = Timeline.read(self._times, names=names)
        self.arrivals = list(timeline.arrivals(names.values()))
        return Outcome(
            wall_s=(execution.ended_at - execution.created_at).total_seconds(),
            best_return=best_of(self._last_return(run, race) for run in lineage.runs),
            steps_trained=sum(run.global_step for run in lineage.runs),
            processes=sum(run.attempt for run in lineage.runs),
            exploits_s=timeline.exploits_in_place(names.values()),
        )

    def _last_return(self, run: Run, race: Race) -> float:
        """Return the mean over the episodes that ended in the last interval."""
        found = self._arena.client.metrics(run.run_id, "charts/episodic_return")
        points = [point for series in found for point in series.points]
        return mean_return([value for step, value, *_ in points if step > race.steps - race.interval])

    def _ended(self, experiment: str) -> Execution:
        while True:
            [execution] = self._arena.client.executions(experiment)
            if execution.state.is_final:
                assert execution.state is ExecutionState.COMPLETED, execution.reason
                return execution
            time.sleep(LOOK_EVERY_S)


@contextmanager
def open_in_place(times: Path, *, num_cpus: int) -> Iterator[InPlace]:
    with stopwatch(times), open_arena(Settings(ray_num_cpus=num_cpus, omp_num_threads=1)) as arena:
        yield InPlace(arena, times)
