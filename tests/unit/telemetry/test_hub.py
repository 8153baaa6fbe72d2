from __future__ import annotations

import hashlib
import json
import math
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from arena_ray.model.events import (
    AttemptStarted,
    Batch,
    CheckpointSaved,
    EpisodeSummary,
    Event,
    LogLine,
    TookOver,
    TrainingStep,
)
from arena_ray.model.paths import Workspace
from arena_ray.telemetry.archive import ArchiveWriter, read_log, read_metrics, read_rows
from arena_ray.telemetry.hub import Hub, extend_digest

RUN = "env__algo__1__0"


def step(boundary: int, value: float = 0.5, tag: str = "losses/loss") -> TrainingStep:
    return TrainingStep(boundary, boundary * 10, {tag: value}, wall_time=1.0)


def episode(boundary: int, value: float) -> EpisodeSummary:
    return EpisodeSummary(boundary, boundary * 10, value, 9.0, wall_time=1.0)


def saved(boundary: int) -> CheckpointSaved:
    return CheckpointSaved(boundary, boundary * 10, f"/c/{boundary}", "d", "p", 1)


def started(boundary: int, generation: int = 0) -> AttemptStarted:
    return AttemptStarted(boundary, boundary * 10, 1.0, generation)


def batch(*events: Event, attempt: int = 1, first_seq: int = 0) -> Batch:
    return Batch("id", attempt, first_seq, events)


@pytest.fixture
def open_hub(tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    with ExitStack() as stack:

        def make(home: Path = tmp_path) -> Hub:
            hub = Hub(Workspace(home), timing_tags=frozenset({"charts/SPS"}))
            stack.callback(hub.close)
            return hub

        yield make


@pytest.fixture
def hub(open_hub: Callable[..., Hub]) -> Hub:
    return open_hub()


def steps_of(hub: Hub, tmp_path: Path) -> list[int]:
    archived = [point.global_step for point in read_metrics(Workspace(tmp_path).run(RUN).metrics)]
    recent = [point.global_step for point in hub.recent_metrics(RUN, None).get("losses/loss", [])]
    assert archived == recent
    return archived


def test_a_batch_sent_twice_counts_once(hub: Hub, tmp_path: Path) -> None:
    sent = batch(started(0), step(0), LogLine("stdout", "hi", 1.0), step(1))
    hub.add(RUN, sent)
    hub.add(RUN, sent)
    assert steps_of(hub, tmp_path) == [0, 10]
    assert len(read_log(Workspace(tmp_path).run(RUN).log).lines) == 1


def test_what_a_resumed_attempt_repeats_is_superseded(hub: Hub, tmp_path: Path) -> None:
    hub.add(RUN, batch(started(0), *[step(n, value=1.0) for n in range(6)]))
    hub.add(RUN, batch(started(3), step(3, value=2.0), attempt=2))
    points = read_metrics(Workspace(tmp_path).run(RUN).metrics)
    assert [(point.global_step, point.value, point.attempt) for point in points] == [
        (0, 1.0, 1),
        (10, 1.0, 1),
        (20, 1.0, 1),
        (30, 2.0, 2),
    ]
    assert steps_of(hub, tmp_path) == [0, 10, 20, 30]


def test_a_new_hub_goes_on_where_the_old_one_died(hub: Hub, open_hub, tmp_path: Path) -> None:
    first, second = batch(started(0), step(0), step(1)), batch(step(2), saved(3), first_seq=3)
    hub.add(RUN, first)
    after_a_crash = open_hub()
    after_a_crash.add(RUN, first)  # it was not acknowledged before the crash
    [(_, digest)] = after_a_crash.add(RUN, second)
    uninterrupted = open_hub(tmp_path / "other")
    uninterrupted.add(RUN, first)
    [(_, expected)] = uninterrupted.add(RUN, second)
    assert steps_of(after_a_crash, tmp_path) == [0, 10, 20]
    assert digest == expected


def test_a_torn_last_line_is_cut_off_and_written_again(hub: Hub, open_hub, tmp_path: Path) -> None:
    hub.add(RUN, batch(started(0), step(0), step(1)))
    path = Workspace(tmp_path).run(RUN).metrics
    path.write_bytes(path.read_bytes()[:-5])
    assert [point.global_step for point in read_metrics(path)] == [0]
    again = open_hub()
    again.add(RUN, batch(started(0), step(0), step(1)))
    assert steps_of(again, tmp_path) == [0, 10]


def test_the_metrics_digest_of_a_resumed_run_is_that_of_an_uninterrupted_one(open_hub, tmp_path: Path) -> None:
    straight, resumed = open_hub(tmp_path / "a"), open_hub(tmp_path / "b")
    [(_, expected)] = straight.add(RUN, batch(started(0), *map(step, range(6)), saved(6)))
    resumed.add(RUN, batch(started(0), *map(step, range(5))))
    [(_, found)] = resumed.add(RUN, batch(started(2), *map(step, range(2, 6)), saved(6), attempt=2))
    assert found.metrics_digest == expected.metrics_digest


def test_a_checkpoint_that_is_told_of_late_stands_where_it_was_taken(open_hub, tmp_path: Path) -> None:
    told = [episode(0, 1.0), step(0), step(1), TookOver(2, 20, 1, "donor", 1.0), step(2), episode(2, 7.0)]
    before, after = saved(2), replace(saved(2), generation=1)
    in_time = open_hub(tmp_path / "in time").add(RUN, batch(started(0), *told[:3], before, told[3], after, *told[4:]))
    late = open_hub(tmp_path / "late").add(RUN, batch(started(0), *told, before, after))
    hub = open_hub(tmp_path / "restarted")
    hub.add(RUN, batch(started(0), *told))
    hub.forget(RUN)
    after_restart = hub.add(RUN, batch(before, after, first_seq=7))
    assert [standing.metrics_digest for _, standing in in_time] == [standing.metrics_digest for _, standing in late]
    assert [standing.metrics_digest for _, standing in late] == [each.metrics_digest for _, each in after_restart]
    assert [str(standing.episodic_return) for _, standing in in_time] == ["1.0", "nan"]
    assert [str(standing.episodic_return) for _, standing in late] == ["1.0", "nan"]


def test_the_metrics_digest_sees_values_but_not_the_clock(open_hub, tmp_path: Path) -> None:
    def digest_of(name: str, *events: Event) -> str:
        [(_, standing)] = open_hub(tmp_path / name).add(RUN, batch(started(0), *events, saved(1)))
        return standing.metrics_digest

    base = digest_of("a", step(0))
    assert digest_of("b", step(0), step(0, 4321.0, tag="charts/SPS")) == base
    assert digest_of("c", step(0, 0.5000001)) != base


def test_the_return_is_the_mean_of_the_last_twenty_episodes_and_nan_without_any(hub: Hub) -> None:
    hub.add(RUN, batch(started(0), step(0)))
    assert math.isnan(hub.episodic_return(RUN))
    hub.add(RUN, batch(*[episode(n, float(n)) for n in range(30)], first_seq=2))
    assert hub.episodic_return(RUN) == sum(range(10, 30)) / 20


def test_not_a_number_survives_in_strict_json(hub: Hub, tmp_path: Path) -> None:
    hub.add(RUN, batch(started(0), step(0, math.nan), step(1, -math.inf)))
    path = Workspace(tmp_path).run(RUN).metrics
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    values = [point.value for point in read_metrics(path)]
    assert math.isnan(values[0])
    assert values[1] == -math.inf


def test_every_archived_row_carries_its_schema_version(hub: Hub, tmp_path: Path) -> None:
    hub.add(RUN, batch(started(0), step(0), episode(1, 2.0)))
    assert {row["schema_version"] for row in read_rows(Workspace(tmp_path).run(RUN).metrics)} == {1}


def test_log_pages_join_without_gap_or_overlap(hub: Hub) -> None:
    hub.add(RUN, batch(*[LogLine("stdout", str(n), 1.0) for n in range(10)]))
    first = hub.log_page(RUN, after=0, limit=4)
    second = hub.log_page(RUN, after=first.next_after, limit=None)
    assert [line["text"] for page in (first, second) for line in page.lines] == [str(n) for n in range(10)]
    assert hub.log_page(RUN, after=second.next_after).lines == ()


@pytest.mark.parametrize(("generation", "mean"), [(0, 5.0), (1, 9.0)])
def test_a_takeover_is_told_again_unless_the_attempt_begins_with_it(
    open_hub: Callable[..., Hub], generation: int, mean: float
) -> None:
    hub = open_hub()
    hub.add(RUN, batch(started(0), episode(1, 1.0), TookOver(2, 20, 1, "donor", 1.0), episode(2, 9.0)))
    hub.add(RUN, batch(started(2, generation), episode(2, 9.0), attempt=2))
    assert hub.episodic_return(RUN) == mean
    hub.close()
    assert open_hub().episodic_return(RUN) == mean, "and so it is read from the archive"


def test_how_busy_a_gpu_was_is_no_part_of_what_was_trained() -> None:
    digests = []
    for tag in ("losses/loss", "system/gpu_utilization"):
        digest = hashlib.sha256()
        for event in (step(1), step(2, 90.0, tag)):
            extend_digest(digest, event, timing_tags=frozenset())
        digests.append(digest.hexdigest())
    only = hashlib.sha256()
    extend_digest(only, step(1), timing_tags=frozenset())
    assert digests[1] == only.hexdigest() != digests[0]


def test_rows_that_could_not_be_written_leave_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    archive = ArchiveWriter.open(path)
    archive.append([{"row": 1}])
    before, allowed = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, allowed[1]))
        with pytest.raises(OSError, match="large"):
            archive.append([{"row": number} for number in range(10)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    archive.append([{"row": 2}])
    archive.close()
    assert list(read_rows(path)) == [{"row": 1}, {"row": 2}]
