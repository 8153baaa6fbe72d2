from __future__ import annotations

import pytest
from lineages import exploit_of, lineage_of, member, race, scheduled

from arena_ray.cli.ancestry import ancestry_lines, exploit_sentence
from arena_ray.cli.ranking import Ranking
from arena_ray.model.states import ExploitCause, ExploitOutcome, RunState


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "run 2 took over run 0's weights at step 20,480: return 61 → 214, learning_rate 0.00031 → 0.00037"),
        ({"outcome": ExploitOutcome.COMMITTED}, "run 2 is to take over run 0's weights at step 20,480: return 61"),
        ({"outcome": ExploitOutcome.FAILED, "reason": "other shapes"}, "0.00037 (other shapes)"),
        ({"outcome": ExploitOutcome.ABANDONED}, "went back to a checkpoint before it"),
        ({"cause": ExploitCause.DIVERGED, "score": float("nan")}, "return diverged → 214"),
        ({"hyperparameters": {"learning_rate": 0.00031, "ent_coef": 0.01}}, "step 20,480: return 61 → 214"),
        (
            {"cause": ExploitCause.SCHEDULE},
            "run 2 changed by its schedule at step 20,480: learning_rate 0.00031 → 0.00037",
        ),
        (
            {"cause": ExploitCause.SCHEDULE, "outcome": ExploitOutcome.FAILED, "reason": "no tensor"},
            "run 2 could not change by its schedule at step 20,480: learning_rate 0.00031 → 0.00037 (no tensor)",
        ),
    ],
)
def test_an_exploit_is_told_in_a_sentence(changes: dict[str, object], said: str) -> None:
    assert said in exploit_sentence(exploit_of(2, 0, **changes), Ranking(race()))


def test_the_lines_tell_the_schedule_oldest_first() -> None:
    lineage = race()
    assert ancestry_lines(Ranking(lineage), lineage.runs[1]) == [
        "  step           0  run 0 begins with learning_rate 0.002, ent_coef 0.01",
        "  step      20,480  run 2 takes over from run 0 (return 61 → 214): learning_rate 0.002 → 0.00037",
        "  step      40,960  run 1 takes over from run 2 (return 101 → 333): learning_rate 0.00037 → 0.0005,",
        "                    ent_coef 0.01 → 0.02",
        "  step     100,352  run 1 is completed, return 500",
    ]
    assert all(len(line) <= 100 for run in lineage.runs for line in ancestry_lines(Ranking(lineage), run))


def test_a_run_that_is_at_work_is_told_as_it_is_now() -> None:
    lineage = lineage_of(member(0, 12.5, RunState.RUNNING, global_step=5_120))
    assert ancestry_lines(Ranking(lineage), lineage.runs[0])[-1] == "  step       5,120  run 0 is running, return 12.5"


def test_a_schedule_is_told_as_one_run_that_goes_on() -> None:
    lineage = scheduled()
    assert ancestry_lines(Ranking(lineage), lineage.runs[0])[:2] == [
        "  step           0  run 0 begins with learning_rate 0.00031, ent_coef 0.01",
        "  step      20,480  run 0 goes on by its schedule: learning_rate 0.00031 → 0.00037",
    ]
