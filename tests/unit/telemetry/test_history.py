"""All points of a run, read from an archive that grows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from arena_ray.model.events import AttemptStarted, Event, TrainingStep
from arena_ray.telemetry.archive import ArchiveWriter, encode_event, read_metrics
from arena_ray.telemetry.history import History, plain


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def archive(path: Path) -> Iterator[ArchiveWriter]:
    archive = ArchiveWriter.open(path)
    yield archive
    archive.close()


def append(archive: ArchiveWriter, *events: Event, attempt: int = 1) -> None:
    archive.append([encode_event(event, seq=seq, attempt=attempt) for seq, event in enumerate(events)])


def step(boundary: int, **scalars: float) -> TrainingStep:
    return TrainingStep(boundary, boundary * 10, scalars, float(boundary))


def test_it_holds_what_the_whole_archive_says_however_it_has_grown(archive: ArchiveWriter, path: Path) -> None:
    history = History(path)
    assert history.read() == {}
    batches = [
        [AttemptStarted(0, 0, 0.0), *(step(at, loss=at / 3, other=math.nan) for at in range(6))],
        [step(6, loss=2.5), step(6, loss=2.25)],
        [AttemptStarted(4, 40, 9.0), step(4, loss=1.0)],
    ]
    for attempt, batch in enumerate(batches, start=1):
        append(archive, *batch, attempt=attempt)
        found = {tag: list(series) for tag, series in history.read().items()}
        expected: dict[str, list[tuple[int, float, float]]] = {}
        for point in read_metrics(path):
            expected.setdefault(point.tag, []).append(plain(point))
        assert repr(found) == repr(expected)  # NaN is not equal to itself
    assert [value for _, value, _ in found["loss"]] == [0.0, 1 / 3, 2 / 3, 1.0, 1.0]


def test_a_line_that_is_not_whole_yet_comes_once_it_is(archive: ArchiveWriter, path: Path) -> None:
    history = History(path)
    append(archive, step(0, loss=1.0), step(1, loss=2.0))
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert len(history.read()["loss"]) == 1
    path.write_bytes(whole)
    assert list(history.read()["loss"]) == [(0, 1.0, 0.0), (10, 2.0, 1.0)]


def test_points_are_found_by_place(archive: ArchiveWriter, path: Path) -> None:
    append(archive, *(step(at, loss=float(at)) for at in range(5)))
    series = History(path).read()["loss"]
    assert (series[-1], series[1:3]) == ((40, 4.0, 4.0), [(10, 1.0, 1.0), (20, 2.0, 2.0)])
