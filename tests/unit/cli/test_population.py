from __future__ import annotations

import io

from lineages import execution_of, exploit_of, lineage_of, member, race
from rich.console import Console

from arena_ray.cli.population import PlainPopulationView, Population, drawing
from arena_ray.model.records import Lineage, Run
from arena_ray.model.states import ExecutionState, RunState

RUNNING = execution_of(ExecutionState.RUNNING)


def running(number: int, step: int = 1000, **changes: object) -> Run:
    return member(number, 20.0, RunState.RUNNING, global_step=step, **changes)


def drawn(sight: Population, *, width: int = 120, height: int = 24) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(drawing(sight, height=height))
    shown: str = console.file.getvalue()  # type: ignore[attr-defined]
    return shown


class Printed:
    """What a plain view prints of one sight after the other."""

    def __init__(self) -> None:
        self.now = 0.0
        self._stream = io.StringIO()
        self._view = PlainPopulationView(self._stream, clock=lambda: self.now)

    def after(self, seconds: float, lineage: Lineage) -> list[str]:
        self.now += seconds
        before = len(self._stream.getvalue())
        self._view.show(Population(lineage, 100_000))
        return self._stream.getvalue()[before:].splitlines()


def test_a_heading_counts_the_runs_by_state() -> None:
    assert Population(race()).heading() == "pbt on race: completed; runs: 3 completed, 1 failed"
    assert Population(lineage_of(execution=RUNNING)).heading() == "pbt on race: running; runs: no run yet"


def test_a_line_says_all_about_a_run() -> None:
    assert Population(race(), 200_704).sentence(race().runs[1]) == (
        "run 1: completed, step 100,352 of 200,704 (50%), return 500, 850 steps/s, learning_rate 0.0005, ent_coef 0.02"
    )


def test_plain_lines_come_every_five_seconds_and_at_once_where_a_state_changes() -> None:
    printed = Printed()
    queued = member(1, float("nan"), RunState.QUEUED, global_step=0)
    assert len(printed.after(0.0, lineage_of(running(0), queued, execution=RUNNING))) == 2
    assert printed.after(1.0, lineage_of(running(0, 2000), queued, execution=RUNNING)) == []
    assert len(printed.after(4.0, lineage_of(running(0, 3000), queued, execution=RUNNING))) == 1  # one has not moved
    assert len(printed.after(0.5, lineage_of(running(0, 3000), running(1, 0), execution=RUNNING))) == 1
    assert printed.after(1.0, lineage_of(running(0, 3100), running(1, 0), execution=RUNNING)) == []


def test_many_runs_do_not_flood_a_log() -> None:
    printed = Printed()
    seen = [
        printed.after(1.0, lineage_of(*(running(number, step) for number in range(40)), execution=RUNNING))
        for step in range(1000, 121_000, 1000)
    ]
    assert len(seen[0]) == 40
    assert sum(map(len, seen[1:])) <= 120


def test_an_exploit_is_told_once_and_those_of_earlier_days_are_not_told_again() -> None:
    old, new = exploit_of(2, 0), exploit_of(1, 0, step=40_960)
    printed = Printed()
    runs = [running(number) for number in range(3)]
    assert not any("took over" in line for line in printed.after(0.0, lineage_of(*runs, exploits=[old])))
    [line] = printed.after(0.5, lineage_of(*runs, exploits=[old, new]))
    assert line.startswith("run 1 took over run 0's weights at step 40,960")
    assert printed.after(0.5, lineage_of(*runs, exploits=[old, new])) == []


def test_the_table_has_a_row_a_run_with_the_tuned_hyperparameters_and_the_newest_exploit_first() -> None:
    lines = drawn(Population(race(), 100_000)).splitlines()
    assert lines[0] == "pbt on race: completed; runs: 3 completed, 1 failed"
    heads = ["run", "state", "of", "100,000", "return", "SPS", "learning_rate", "ent_coef", "exploits"]
    assert (lines[1].split(), lines[2].split()) == (["step"], heads)
    assert lines[4].split() == [
        *("1", "CartPole-v1__ppo__1__1700000000", "completed", "100,352", "500", "850", "0.0005", "0.02", "1")
    ]
    assert [line.split()[1] for line in lines[3:7]] == [
        f"CartPole-v1__ppo__{number}__1700000000" for number in range(4)
    ]
    assert lines[7].startswith("run 1 took over run 2's weights")
    assert lines[8].startswith("run 2 took over run 0's weights")
    assert "gamma" not in "".join(lines)


def test_in_eighty_columns_the_name_gives_way_and_no_number_does() -> None:
    lines = drawn(Population(race(), 100_000), width=80).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[4].split()[-7:] == ["completed", "100,352", "500", "850", "0.0005", "0.02", "1"]
    assert lines[4].startswith("1 ")


def test_a_population_that_is_higher_than_the_terminal_shows_those_at_work() -> None:
    done = [member(number, 1.0) for number in range(30)]
    lines = drawn(Population(lineage_of(*done, running(30), execution=RUNNING)), height=20).splitlines()
    assert len(lines) < 20
    assert any("__30__" in line for line in lines)
    assert "and 23 more" in lines


def test_text_of_a_run_is_not_read_as_markup() -> None:
    odd = member(0, 1.0, name="[bold]x[/bold]", hyperparameters={"learning_rate": "[red]", "ent_coef": 0})
    shown = drawn(Population(lineage_of(odd)))
    assert "[bold]x[/bold]" in shown
    assert "[red]" in shown
