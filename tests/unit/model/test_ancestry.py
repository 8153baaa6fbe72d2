from __future__ import annotations

import pytest
from lineages import execution_of, exploit_of, lineage_of, member, race, scheduled

from arena_ray.model.ancestry import ancestry, require_execution, schedule_of
from arena_ray.model.errors import SpecError
from arena_ray.model.states import ExploitOutcome


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


def test_the_schedule_of_the_winner_tells_what_changed_at_which_step_along_its_weights() -> None:
    lineage = race()
    assert schedule_of(lineage, lineage.runs[1]).to_data() == [
        {"step": 0, "hyperparameters": {"learning_rate": 0.002, "ent_coef": 0.01}},
        {"step": 20_480, "hyperparameters": {"learning_rate": 0.00037}},
        {"step": 40_960, "hyperparameters": {"learning_rate": 0.0005, "ent_coef": 0.02}},
    ]


def test_a_run_that_took_over_nothing_has_a_schedule_without_a_change() -> None:
    lineage = race()
    values = {"learning_rate": 0.001, "ent_coef": 0.01}
    assert schedule_of(lineage, lineage.runs[3]).to_data() == [{"step": 0, "hyperparameters": values}]


def test_an_exploit_that_changed_nothing_is_no_change_of_the_schedule() -> None:
    same = {"learning_rate": 0.001, "ent_coef": 0.01}
    taken = exploit_of(1, 0, hyperparameters=same, hyperparameters_before=same)
    lineage = lineage_of(member(0, 1.0), member(1, 2.0, generation=1), exploits=[taken])
    assert schedule_of(lineage, lineage.runs[1]).steps == ()


def test_the_schedule_of_a_replay_is_the_one_that_it_followed() -> None:
    lineage = scheduled()
    schedule = schedule_of(lineage, lineage.runs[0])
    assert [change.step for change in schedule.changes] == [0, 20_480]
    assert schedule.after(1) == {"learning_rate": 0.00037, "ent_coef": 0.01}


def test_without_a_plugin_or_anything_tuned_there_is_no_schedule() -> None:
    with pytest.raises(SpecError, match=r"no plugin has steered it.*give 'arena run' its experiment file"):
        require_execution(member(0, 1.0, execution_id=None))
    lineage = lineage_of(member(0, 1.0), execution=execution_of(param_space=None))
    with pytest.raises(SpecError, match="was tuned by a plugin"):
        schedule_of(lineage, lineage.runs[0])
