from __future__ import annotations

import math
from datetime import timedelta

import pytest
from unit.scheduling.studies import NOW, Engine, Orchestrator, execution, milestone

from arena_ray.model.states import RunState
from arena_ray.plugin.study import Asha
from arena_ray.scheduling.execution_port import StudyRecord
from arena_ray.scheduling.rungs import RungScheduler, rungs


class Halving:
    """Two rungs, at steps 100 and 200, at each of which one in two goes on."""

    def __init__(self, mode: str = "max") -> None:
        self.stopped: list[tuple[str, str]] = []
        self.crew = Engine(Orchestrator())
        self.scheduler = RungScheduler(
            self.crew,
            Asha(grace_period=100, reduction_factor=2),
            steps=(100, 200),
            mode=mode,  # type: ignore[arg-type]
            stop=lambda run_id, reason: self.stopped.append((run_id, reason)),
        )

    def arrive(self, run_id: str, score: float, number: int = 1) -> bool:
        """Return whether the run may go on."""
        before = len(self.crew.decided)
        assert not self.scheduler.on_milestone(milestone(run_id, number, score)), "nobody gives way"
        return len(self.crew.decided) > before


@pytest.mark.parametrize(
    ("asha", "total", "expected"),
    [
        (Asha(grace_period=10, reduction_factor=3), 1000, (10, 30, 90, 270, 810)),
        (Asha(grace_period=10, reduction_factor=3, max_steps=90), 1000, (10, 30)),
        (Asha(grace_period=10, reduction_factor=3, max_steps=5000), 100, (10, 30, 90)),
        (Asha(grace_period=100), 100, ()),
    ],
)
def test_the_rungs_lie_between_the_grace_period_and_the_end(asha: Asha, total: int, expected: tuple[int, ...]) -> None:
    assert rungs(asha, total_steps=total) == expected


def test_the_worse_are_stopped_with_the_reason_and_the_better_go_on() -> None:
    halving = Halving()
    assert [halving.arrive(name, score) for name, score in [("a", 5.0), ("b", 9.0), ("c", 1.0)]] == [True, True, False]
    assert halving.stopped == [("c", "stopped by successive halving at step 100: others were better there")]
    assert halving.arrive("b", 9.0, number=2)


def test_less_can_be_better() -> None:
    halving = Halving("min")
    assert [halving.arrive(name, score) for name, score in [("a", 5.0), ("b", 9.0), ("c", 1.0)]] == [True, False, True]


def test_a_run_without_a_score_is_the_worst() -> None:
    halving = Halving()
    assert halving.arrive("a", 5.0)
    assert not halving.arrive("b", math.nan)


def test_runs_without_a_score_keep_nobody_from_being_stopped() -> None:
    halving = Halving()
    for name in "ab":
        halving.arrive(name, math.nan)
    scores = {"c": 5.0, "d": 4.0, "e": 2.0, "f": 1.0}
    assert [halving.arrive(name, score) for name, score in scores.items()] == [True, True, True, False]


def test_what_was_to_be_stopped_when_the_driver_died_is_stopped_by_the_next() -> None:
    told = [milestone("a", 1, 5.0), milestone("b", 1, 9.0), milestone("c", 1, 1.0), milestone("d", 1, 0.0)]
    told = [each.model_copy(update={"created_at": NOW + timedelta(seconds=at)}) for at, each in enumerate(told)]
    runs = Orchestrator()
    for member, name in enumerate("abcd"):
        run = runs.add_run("e", driver=runs.driver, member=member, hyperparameters={}, seed=1)
        runs.runs[member] = run.model_copy(update={"run_id": name, "state": RunState.RUNNING})
    runs.move(3, RunState.STOPPED)
    halving = Halving()
    halving.scheduler.recall(StudyRecord(execution(), runs.record("e").runs, tuple(told), ()))
    assert [run_id for run_id, _ in halving.stopped] == ["c"]
    assert halving.arrive("e", 8.0)
