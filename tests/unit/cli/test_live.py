from __future__ import annotations

import io
import math
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from arena_ray.cli.live import PlainView, Sight, drawing
from arena_ray.model.records import Run
from arena_ray.model.spec import Resources
from arena_ray.model.states import RunState


def run_in(state: RunState = RunState.RUNNING, **changes: Any) -> Run:
    values: dict[str, Any] = {
        "run_id": "0123456789ab",
        "name": "CartPole-v1__ppo__1__1700000000",
        "experiment_id": "e1",
        "experiment": "demo",
        "revision_id": "r1",
        "revision": 1,
        "runner": "cleanrl",
        "script": "ppo",
        "env_id": "CartPole-v1",
        "seed": 1,
        "attempt": 2,
        "global_step": 2000,
        "episodic_return": 37.5,
        "steps_per_second": 100.0,
        "resources": Resources(cpu=1, gpu=0, memory_gib=0),
        "created_at": datetime.now(UTC),
    }
    return Run(state=state, **(values | changes))


def test_the_time_to_go_is_the_rest_at_the_speed_of_now() -> None:
    assert Sight(run_in(), 12_000).eta_s == 100.0
    assert Sight(run_in(), 12_000).eta == "1 min 40 s"


@pytest.mark.parametrize(
    "sight",
    [
        Sight(run_in(), None),
        Sight(run_in(steps_per_second=math.nan), 12_000),
        Sight(run_in(steps_per_second=0.0), 12_000),
        Sight(run_in(RunState.QUEUED), 12_000),
    ],
)
def test_a_time_to_go_that_cannot_be_known_is_not_made_up(sight: Sight) -> None:
    assert math.isnan(sight.eta_s)
    assert "to go" not in sight.sentence()


def test_a_sentence_says_it_all() -> None:
    assert Sight(run_in(), 12_000).sentence() == (
        "CartPole-v1__ppo__1__1700000000: running, attempt 2, step 2,000 of 12,000 (17%), return 37.5, "
        "100 steps/s, 1 min 40 s to go"
    )


def test_a_plain_line_comes_every_five_seconds_and_at_once_where_the_state_changes() -> None:
    stream, now = io.StringIO(), [0.0]
    view = PlainView(stream, clock=lambda: now[0])

    def lines_after(seconds: float, run: Run) -> int:
        now[0] += seconds
        view.show(Sight(run))
        return len(stream.getvalue().splitlines())

    assert lines_after(0.0, run_in(RunState.QUEUED)) == 1
    assert lines_after(0.5, run_in()) == 2
    assert lines_after(4.9, run_in(global_step=3000)) == 2
    assert lines_after(0.2, run_in(global_step=3000)) == 3
    assert lines_after(0.1, run_in(attempt=3)) == 4
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", stream.getvalue())


def test_a_drawing_shows_the_run_and_takes_its_text_as_text() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(drawing(Sight(run_in(node="node-a"), 4000, "[bold]loss\x1b[2J 0.5[/nonsense]")))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "running, attempt 2 on node-a" in shown
    assert "2,000 of 4,000 (50%)" in shown
    assert "[bold]loss 0.5[/nonsense]" in shown
    assert "\x1b" not in shown
