from __future__ import annotations

from typing import Any

import pytest

from arena_ray.model.errors import SpecError
from arena_ray.model.schedule import Schedule

DATA: list[dict[str, Any]] = [
    {"step": 0, "hyperparameters": {"lr": 0.1, "size": 8}},
    {"step": 100, "hyperparameters": {"lr": 0.2}},
    {"step": 250, "hyperparameters": {"lr": 0.1, "size": 16}},
]


def test_what_holds_after_each_step_is_what_was_changed_last() -> None:
    schedule = Schedule.parse(DATA)
    assert (schedule.first, schedule.steps) == ({"lr": 0.1, "size": 8}, (100, 250))
    assert [schedule.after(count) for count in range(4)] == [
        {"lr": 0.1, "size": 8},
        {"lr": 0.2, "size": 8},
        {"lr": 0.1, "size": 16},
        {"lr": 0.1, "size": 16},
    ]
    assert schedule.changing == {"lr", "size"}
    assert Schedule.parse(DATA[:2]).changing == {"lr"}
    assert schedule.to_data() == DATA
    assert Schedule.parse(schedule.to_data()) == schedule


def test_its_values_can_be_fitted_to_the_types_of_a_script() -> None:
    schedule = Schedule.parse(DATA)
    space = schedule.space()
    assert space.to_data() == {"lr": {"choice": [0.1, 0.2, 0.1]}, "size": {"choice": [8, 16]}}
    dimensions = {
        name: one.model_copy(update={"options": tuple(float(value) for value in one.options)})
        for name, one in space.dimensions.items()
    }
    fitted = schedule.fitted(space.model_copy(update={"dimensions": dimensions}))
    assert fitted == schedule
    assert [type(value) for value in fitted.after(2).values()] == [float, float]


@pytest.mark.parametrize(
    ("data", "mistakes"),
    [
        ({}, ["x: must be a list of mappings such as {step: 0"]),
        ([], ["x: must be a list of mappings"]),
        ([{"step": 0}], ["x[0].hyperparameters: field required; write a list"]),
        ([{"step": -1, "hyperparameters": {"lr": 1}}], ["x[0].step: input should be greater than or equal to 0"]),
        ([{"step": 0, "hyperparameters": {}}, 7], ["x[0].hyperparameters: ", "x[1]: "]),
        ([{"step": 5, "hyperparameters": {"lr": 1}}], ["x[0]: is to be at step 0, not 5"]),
        (
            [DATA[0], {"step": 9, "hyperparameters": {"rate": 1}}, {"step": 9, "hyperparameters": {"lr": 2}}],
            ["x[1]: rate has no value before step 9; give one at step 0", "x[2]: step 9 must come after 9"],
        ),
    ],
)
def test_each_mistake_is_told_with_its_place(data: Any, mistakes: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        Schedule.parse(data, prefix="x")
    lines = str(caught.value).splitlines()
    assert len(lines) == len(mistakes)
    assert all(mistake in line for mistake, line in zip(mistakes, lines, strict=True)), lines
