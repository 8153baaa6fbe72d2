from __future__ import annotations

import sys
import threading
import time
from typing import Any

import pytest

from arena_ray.plugin.stats_writer import StatsAggregationMethod, StatsPropertyType, StatsSummary
from arena_ray.telemetry import writer_thread
from arena_ray.telemetry.summaries import Period
from arena_ray.telemetry.writer_thread import WriterThread

PATIENCE_S = 60.0
AVERAGE = StatsAggregationMethod.AVERAGE


class Recording:
    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def write_stats(self, category, values, step):
        self.told.append(("stats", category, values, step))

    def on_add_stat(self, category, key, value, aggregation):
        self.told.append(("stat", category, key, value, aggregation))

    def add_property(self, category, property_type, value):
        self.told.append(("property", category, property_type, value))


class Bare:
    def __init__(self) -> None:
        self.steps: list[int] = []

    def write_stats(self, category, values, step):
        self.steps.append(step)


class Raising:
    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls = 0

    def write_stats(self, category, values, step):
        self.calls += 1
        raise self.error


class Hanging:
    def __init__(self) -> None:
        self.entered, self.free = threading.Event(), threading.Event()

    def write_stats(self, category, values, step):
        self.entered.set()
        self.free.wait(PATIENCE_S)


def opened(writer: Any) -> tuple[WriterThread, list[str]]:
    notes: list[str] = []
    return WriterThread(writer, category="a-run", origin="tables 1.0", say=notes.append), notes


def ended(thread: WriterThread, *, within_s: float = PATIENCE_S) -> bool:
    return thread.end(time.monotonic() + within_s)


def test_a_writer_is_told_everything_in_order() -> None:
    writer = Recording()
    thread, notes = opened(writer)
    thread.set_hyperparameters({"learning_rate": 0.1})
    thread.add([("loss", 1.0), ("loss", 2.0)])
    thread.write(Period(10, {"loss": [1.0, 2.0]}))
    assert ended(thread)
    assert writer.told == [
        ("property", "a-run", StatsPropertyType.HYPERPARAMETERS, {"learning_rate": 0.1}),
        ("stat", "a-run", "loss", 1.0, AVERAGE),
        ("stat", "a-run", "loss", 2.0, AVERAGE),
        ("stats", "a-run", {"loss": StatsSummary([1.0, 2.0], AVERAGE)}, 10),
    ]
    assert notes == []


def test_a_writer_need_not_have_the_optional_methods() -> None:
    writer = Bare()
    thread, notes = opened(writer)
    thread.set_hyperparameters({})
    thread.add([("loss", 1.0)])
    thread.write(Period(10, {"loss": [1.0]}))
    assert ended(thread)
    assert (writer.steps, notes) == ([10], [])


@pytest.mark.parametrize("error", [ValueError("full"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_a_writer_that_raises_anything_is_dropped_with_a_note(error: BaseException) -> None:
    writer = Raising(error)
    thread, notes = opened(writer)
    for step in (10, 20):
        thread.write(Period(step, {"loss": [1.0]}))
    assert ended(thread)
    assert writer.calls == 1
    [note] = [each for each in notes if "was dropped" in each]
    assert note.startswith(f"stats writer Raising of tables 1.0 was dropped: {type(error).__name__}: {error} (")
    assert "test_writer_thread.py, line " in note


def test_a_writer_that_hangs_holds_up_nobody_and_what_it_loses_is_counted() -> None:
    writer, other = Hanging(), Bare()
    thread, notes = opened(writer)
    beside, _ = opened(other)
    thread.write(Period(10, {"loss": [1.0]}))
    assert writer.entered.wait(PATIENCE_S)
    for step in range(writer_thread.QUEUED + 5):
        thread.write(Period(step, {"loss": [1.0]}))
    beside.write(Period(10, {"loss": [1.0]}))
    assert ended(beside)
    assert other.steps == [10]
    assert not ended(thread, within_s=0.01)
    name = "stats writer Hanging of tables 1.0"
    assert notes == [
        f"{name} is slower than the training: it loses what it cannot take in",
        f"{name} had not come to its end in time",
        f"{name} has lost {writer_thread.QUEUED + 5} of {writer_thread.QUEUED + 6} calls",
    ]
    writer.free.set()


def test_a_writer_that_derives_from_ml_agents_class_is_given_ml_agents_own_values(monkeypatch) -> None:
    import enum
    from types import ModuleType
    from typing import NamedTuple

    class TheirWriter(Recording):
        pass

    class TheirMethod(enum.Enum):
        AVERAGE = 0

    class TheirSummary(NamedTuple):
        full_dist: list[float]
        aggregation_method: TheirMethod

    theirs = ModuleType("mlagents.trainers.stats")
    vars(theirs).update(StatsWriter=TheirWriter, StatsSummary=TheirSummary, StatsAggregationMethod=TheirMethod)
    monkeypatch.setitem(sys.modules, theirs.__name__, theirs)
    writer = TheirWriter()
    thread, _ = opened(writer)
    thread.write(Period(10, {"loss": [1.0]}))
    assert ended(thread)
    [(_, _, values, _)] = writer.told
    assert type(values["loss"]) is TheirSummary
    assert values["loss"].aggregation_method is TheirMethod.AVERAGE
