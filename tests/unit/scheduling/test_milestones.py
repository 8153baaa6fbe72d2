from __future__ import annotations

import pytest
from unit.scheduling.studies import milestone

from arena_ray.scheduling.milestones import Course, Milestones

EVERY = Milestones(interval=100)
LISTED = Milestones(steps=(100, 400))


@pytest.mark.parametrize(
    ("milestones", "step", "number", "next_one"),
    [
        (EVERY, 0, 0, 100),
        (EVERY, 99, 0, 100),
        (EVERY, 100, 1, 200),
        (EVERY, 250, 2, 300),
        (LISTED, 0, 0, 100),
        (LISTED, 100, 1, 400),
        (LISTED, 399, 1, 400),
        (LISTED, 400, 2, None),
        (Milestones(), 5, 0, None),
    ],
)
def test_a_step_has_a_milestone_behind_it_and_one_before_it(milestones, step, number, next_one) -> None:
    assert (milestones.number_at(step), milestones.next_after(step)) == (number, next_one)


@pytest.mark.parametrize(
    ("step", "boundary", "generation", "reached", "stop"),
    [
        (0, 0, 0, [], 100),
        (50, 5, 0, [], 100),
        (100, 10, 0, [], 100),  # it was killed before it could be judged here
        (100, 10, 0, [milestone("r", 1, 0.0)], 100),  # it is judged here, and waits for a decision
        (100, 10, 1, [milestone("r", 1, 0.0)], 200),  # it was written after the exploit
        (130, 13, 0, [milestone("r", 1, 0.0)], 200),
        (130, 13, 0, [], 130),  # the milestone was passed, and what was reached there is not known
        (50, 5, 0, [milestone("r", 1, 0.0)], 100),  # it went back before the milestone
        (250, 25, 0, [milestone("r", 1, 0.0), milestone("r", 2, 0.0)], 300),
    ],
)
def test_a_run_that_starts_again_holds_where_it_has_not_been_decided(step, boundary, generation, reached, stop) -> None:
    course = Course(EVERY)
    assert course.first_stop(step=step, boundary=boundary, generation=generation, reached=reached) == stop


def test_without_milestones_nothing_ever_holds() -> None:
    assert Course().first_stop(step=7, boundary=7, generation=0, reached=[]) is None
