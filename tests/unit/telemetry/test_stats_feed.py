"""What the console is told; writers in their processes are in tests/process."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from stats_kit import terms_for

from arena_ray.model.events import AttemptStarted, EpisodeSummary, TrainingStep
from arena_ray.plugin.writer_discovery import InstalledWriters
from arena_ray.telemetry.stats_feed import StatsFeed


@pytest.fixture
def open_feed(tmp_path: Path) -> Callable[..., StatsFeed]:
    def make(find: Callable[[], InstalledWriters] = lambda: InstalledWriters(())) -> StatsFeed:
        feed = StatsFeed(terms_for(tmp_path), find=find, clock=itertools.count(step=0.5).__next__)
        feed.hear(AttemptStarted(0, 0, 0.0))
        return feed

    return make


def episode(step: int, returns: float) -> EpisodeSummary:
    return EpisodeSummary(0, step, returns, 1.0, 0.0)


def test_each_period_has_a_line_with_mean_and_spread_of_its_returns(open_feed) -> None:
    feed = open_feed()
    for step, returns in ((1, 10.0), (9, 20.0), (12, 40.0)):
        feed.hear(episode(step, returns))
    assert feed.take_notes() == ["Step: 10. Time Elapsed: 0.500 s. Mean Reward: 15.000. Std of Reward: 5.000."]
    feed.finish()
    assert feed.take_notes() == ["Step: 12. Time Elapsed: 1.000 s. Mean Reward: 40.000. Std of Reward: 0.000."]


def test_a_period_without_an_episode_says_so(open_feed) -> None:
    feed = open_feed()
    feed.hear(TrainingStep(0, 5, {"losses/value_loss": 1.0}, 0.0))
    feed.hear(TrainingStep(0, 10, {"losses/value_loss": 1.0}, 0.0))
    assert feed.take_notes() == ["Step: 10. Time Elapsed: 0.500 s. No episode was completed since last summary."]


def test_the_end_is_told_once(open_feed) -> None:
    feed = open_feed()
    feed.hear(episode(3, 1.0))
    feed.finish()
    feed.finish()
    assert len(feed.take_notes()) == 1


def test_a_run_that_told_nothing_has_no_line(open_feed) -> None:
    feed = open_feed()
    feed.finish()
    assert feed.take_notes() == []


def test_metadata_that_cannot_be_read_are_noted_and_hurt_nothing(open_feed) -> None:
    def broken() -> InstalledWriters:
        raise ValueError("entry points of nobody")

    feed = open_feed(broken)
    assert feed.take_notes() == ["stats writers could not be looked up: ValueError: entry points of nobody"]
    feed.hear(episode(3, 1.0))
