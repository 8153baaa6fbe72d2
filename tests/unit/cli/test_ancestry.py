from __future__ import annotations

import pytest
from unit.cli.lineages import exploit_of, lineage_of, member, race

from arena_ray.cli.ancestry import ancestry, ancestry_lines, exploit_sentence
from arena_ray.cli.ranking import Ranking
from arena_ray.model.states import ExploitCause, ExploitOutcome, RunState


def test_the_weights_of_the_winner_are_followed_to_where_they_began() -> None:
    lineage = race()
    stages = ancestry(lineage, lineage.runs[1])
    assert [(stage.run.member, stage.step, stage.hyperparameters["learning_rate"]) for stage in stages] == [
        (0, 0, 0.002),
        (2, 20_480, 0.00037),
        (1, 40_960, 0.0005),
    ]


def test_a_run_that_took_over_nothing_has_only_itself() -> None:
    lineage = race()
    [stage] = ancestry(lineage, lineage.runs[3])
    assert (stage.run.member, stage.step, stage.exploit) == (3, 0, None)


def test_what_a_run_did_before_it_took_over_is_no_ancestor_of_its_weights() -> None:
    first = exploit_of(1, 0)
    second = exploit_of(1, 2, generation=2, step=40_960)
    lineage = lineage_of(member(0, 1.0), member(1, 1.0, generation=2), member(2, 1.0), exploits=[first, second])
    assert [stage.run.member for stage in ancestry(lineage, lineage.runs[1])] == [2, 1]


def test_a_donor_counts_as_it_was_when_it_gave_its_weights() -> None:
    given = exploit_of(1, 0)
    later = exploit_of(0, 1, step=80_000, donor_generation=1)
    lineage = lineage_of(member(0, 1.0, generation=1), member(1, 1.0, generation=1), exploits=[given, later])
    assert [stage.run.member for stage in ancestry(lineage, lineage.runs[0])] == [0, 1, 0]
    assert [stage.run.member for stage in ancestry(lineage, lineage.runs[1])] == [0, 1]
    first = ancestry(lineage, lineage.runs[0])[0]
    assert first.hyperparameters["learning_rate"] == 0.00031  # as it was before its own exploit


def test_an_exploit_that_was_not_applied_is_no_part_of_the_weights() -> None:
    failed = exploit_of(1, 0, outcome=ExploitOutcome.FAILED)
    lineage = lineage_of(member(0, 1.0), member(1, 1.0, generation=0), exploits=[failed])
    assert [stage.run.member for stage in ancestry(lineage, lineage.runs[1])] == [1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "run 2 took over run 0's weights at step 20,480: return 61 → 214, learning_rate 0.00031 → 0.00037"),
        ({"outcome": ExploitOutcome.COMMITTED}, "run 2 is to take over run 0's weights at step 20,480: return 61"),
        ({"outcome": ExploitOutcome.FAILED, "reason": "other shapes"}, "0.00037 (other shapes)"),
        ({"outcome": ExploitOutcome.ABANDONED}, "went back to a checkpoint before it"),
        ({"cause": ExploitCause.DIVERGED, "score": float("nan")}, "return diverged → 214"),
        ({"hyperparameters": {"learning_rate": 0.00031, "ent_coef": 0.01}}, "step 20,480: return 61 → 214"),
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
