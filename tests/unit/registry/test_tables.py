from __future__ import annotations

import math
from enum import StrEnum

import pytest
from sqlalchemy.dialects import postgresql

from arena_ray.model.states import Intent, RunState
from arena_ray.registry.tables import checkpoints, runs

POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("column", [runs.c.episodic_return, runs.c.steps_per_second, checkpoints.c.episodic_return])
def test_nan_is_sent_as_null_to_a_database_that_could_hold_it(column: object) -> None:
    send = column.type.bind_processor(POSTGRESQL)  # type: ignore[attr-defined]

    assert send(math.nan) is None
    assert send(None) is None
    assert send(1.5) == 1.5


@pytest.mark.parametrize(("column", "word"), [(runs.c.state, RunState.QUEUED), (runs.c.intent, Intent.STOP_NOW)])
def test_a_word_is_sent_as_a_plain_string(column: object, word: StrEnum) -> None:
    send = column.type.bind_processor(POSTGRESQL)  # type: ignore[attr-defined]

    assert type(send(word)) is str
    assert send(word) == word.value
