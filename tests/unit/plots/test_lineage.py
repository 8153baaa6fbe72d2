"""Drawings are looked into as matplotlib holds them, and at the files that come of them."""

from __future__ import annotations

import itertools
import math
import random
import sys
from pathlib import Path

import pytest
from lineages import execution_of, exploit_of, lineage_of, member, race, scheduled
from unit.plots.test_lanes import judged

from arena_ray.model.errors import MissingPackage, SpecError
from arena_ray.model.records import Lineage
from arena_ray.model.states import ExploitOutcome, RunState
from arena_ray.plots import save_lineage
from arena_ray.plots.lineage import draw_lineage


def large(count: int = 64) -> Lineage:
    rng = random.Random(1)
    runs = [member(number, rng.random() if number else math.nan, generation=0) for number in range(count)]
    outcomes = list(ExploitOutcome)
    exploits = [
        exploit_of(number, number // 2, step=20_000, outcome=outcomes[number % 4])
        for number in range(count // 2, count)
    ]
    return lineage_of(*runs, exploits=exploits)


def test_it_is_written_as_the_name_of_the_file_says_and_the_same_each_time(tmp_path: Path) -> None:
    first, again, other = tmp_path / "first.svg", tmp_path / "again.svg", tmp_path / "lineage.PNG"
    for path in (first, again, other):
        save_lineage(judged(), path)
    assert first.read_bytes().startswith(b"<?xml")
    assert first.read_bytes() == again.read_bytes()
    assert other.read_bytes().startswith(b"\x89PNG\r\n")


def test_runs_are_told_with_their_scores_and_the_best_one_is_bold() -> None:
    [axes, bar] = draw_lineage(judged()).axes
    labels = axes.get_yticklabels()
    assert [label.get_text() for label in labels] == ["run 1   500", "run 2   480", "run 0   120", "run 3   9.5"]
    assert [label.get_fontweight() for label in labels] == ["bold", "normal", "normal", "normal"]
    assert axes.get_title(loc="left") == "pbt on race: 4 runs, 2 exploits"
    assert bar.get_ylabel() == "episodic_return"
    ways = {collection.get_gid(): len(collection.get_segments()) for collection in axes.collections}
    assert ways == {"way": 3, "lanes": 8}
    assert len([text for text in axes.texts if text.arrow_patch is not None]) == 2


def test_a_population_of_64_has_a_lane_each_that_can_be_told_apart() -> None:
    figure = draw_lineage(large())
    [axes, _] = figure.axes
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert len(boxes) == 64
    assert all(above.y0 >= below.y1 for above, below in itertools.pairwise(boxes)), "labels overlap"
    assert figure.get_size_inches()[1] < 16
    assert [label.get_text() for label in axes.get_yticklabels()][-1] == "run 0   -"


def test_what_failed_or_was_undone_has_a_cross_and_a_change_by_schedule_a_stroke() -> None:
    outcomes = [ExploitOutcome.APPLIED, ExploitOutcome.FAILED, ExploitOutcome.ABANDONED, ExploitOutcome.COMMITTED]
    exploits = [exploit_of(1, 0, generation=at, outcome=one) for at, one in enumerate(outcomes)]
    runs = member(0, 9.0), member(1, 1.0, RunState.FAILED)
    [axes, _] = draw_lineage(lineage_of(*runs, exploits=exploits)).axes
    assert sorted(line.get_marker() for line in axes.lines) == ["X", "o", "x", "x"]
    [axes, _] = draw_lineage(scheduled()).axes
    assert sorted(line.get_marker() for line in axes.lines) == ["o", "|"]
    assert [text for text in axes.texts if text.arrow_patch is not None] == []


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_better_score_is_the_brighter_colour(mode: str) -> None:
    lineage = lineage_of(member(0, 1.0), member(1, 5.0), execution=execution_of(mode=mode))
    [axes, _] = draw_lineage(lineage).axes
    [lanes] = [collection for collection in axes.collections if collection.get_gid() == "lanes"]
    best, worst = (sum(colour[:3]) for colour in lanes.get_colors())
    assert best > worst


def test_hyperparameters_may_be_numbers_of_all_sizes_or_words() -> None:
    rates = [member(at, 1.0, hyperparameters={"rate": 10.0**-at, "kind": "ab"[at % 2]}) for at in range(4)]
    [axes, bar] = draw_lineage(lineage_of(*rates), colour="rate").axes
    assert bar.get_yscale() == "log"
    [axes, bar] = draw_lineage(lineage_of(*rates), colour="kind").axes
    assert [label.get_text() for label in bar.get_yticklabels()] == ["a", "b"]
    [lanes] = [collection for collection in axes.collections if collection.get_gid() == "lanes"]
    assert len({tuple(colour) for colour in lanes.get_colors()}) == 2


@pytest.mark.parametrize("name", ["lineage.pdf", "lineage", "no/such/folder/lineage.png"])
def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="cannot draw into"):
        save_lineage(race(), tmp_path / name)


def test_where_matplotlib_is_missing_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackage, match=r"drawing needs matplotlib.*pip install 'arena_ray\[plots\]'"):
        save_lineage(race(), tmp_path / "lineage.svg")
