"""Stats writers in their processes: what they are told of a run, and that nothing they do harms it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from holding import RUNNERS, SCRIPTS, until
from stats_kit import KEEPS, InstallWriter, install_example, install_writer, terms_for
from waiting import wait_until

from arena_ray.model.events import AttemptStarted, EpisodeSummary, TrainingStep
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import RunState
from arena_ray.plugin.writer_discovery import find_writers
from arena_ray.runner import preflight
from arena_ray.scheduling.supervision import Supervision
from arena_ray.telemetry.archive import read_log
from arena_ray.telemetry.stats_feed import StatsFeed
from arena_ray.telemetry.writers import QUEUED

__all__ = ["install_writer"]


UNCHANGED = """
from typing import Any, Dict, List

from mlagents.trainers.settings import RunOptions
from mlagents.trainers.stats import StatsPropertyType, StatsSummary, StatsWriter
from mlagents_envs import logging_util

logger = logging_util.get_logger(__name__)


class Printing(StatsWriter):
    def __init__(self, path: str):
        self.path = path

    def write_stats(self, category: str, values: Dict[str, StatsSummary], step: int) -> None:
        reward = values["Environment/Cumulative Reward"]
        print(f"{category} at {step}: {reward.mean:.1f} of {reward.num}, {reward.aggregated_value:.1f}", flush=True)

    def add_property(self, category: str, property_type: StatsPropertyType, value: Any) -> None:
        if property_type == StatsPropertyType.HYPERPARAMETERS:
            print(f"{category} with {value}", flush=True)


def make(run_options: RunOptions) -> List[StatsWriter]:
    assert run_options.checkpoint_settings.write_path.endswith(run_options.checkpoint_settings.run_id)
    return [Printing(run_options.checkpoint_settings.write_path)]
"""
"""As somebody would have written it for ML-Agents, who has never heard of us."""


@pytest.fixture
def open_feed(tmp_path: Path) -> Iterator[Callable[..., StatsFeed]]:
    opened: list[StatsFeed] = []

    def make(**keys: Any) -> StatsFeed:
        feed = StatsFeed(terms_for(tmp_path, learning_rate=0.1), **keys)
        opened.append(feed)
        feed.hear(AttemptStarted(0, 0, 0.0))
        return feed

    yield make
    for feed in opened:
        feed.finish()


def tell(feed: StatsFeed, *steps: int) -> None:
    for step in steps:
        feed.hear(TrainingStep(0, step, {"losses/value_loss": step / 10}, 0.0))
        feed.hear(EpisodeSummary(0, step, float(step), 1.0, 0.0))


def notes_at_the_end(feed: StatsFeed) -> list[str]:
    """Let what was told be taken in, and return what the run's log is told of writers."""
    notes = feed.take_notes()
    feed.finish()
    return [note for note in [*notes, *feed.take_notes()] if not note.startswith("Step: ")]


def kept(home: Path) -> list[Any]:
    files = terms_path(home)
    return [json.loads(line) for line in (files / "kept.jsonl").read_text().splitlines()]


def terms_path(home: Path) -> Path:
    return home / "var" / "training" / "runs" / "a-run"


def printed(home: Path) -> str:
    return (terms_path(home) / "attempt-1" / "writers.log").read_text()


def test_a_writer_is_told_values_periods_and_hyperparameters(
    open_feed, install_writer: InstallWriter, tmp_path
) -> None:
    install_writer("keeps", KEEPS)
    feed = open_feed()
    tell(feed, 5)
    feed.take_notes()  # only now are writers looked up: what was told before is not lost to them
    feed.set_hyperparameters({"learning_rate": 0.2})
    tell(feed, 12)
    assert notes_at_the_end(feed) == []
    reward, length, loss = "Environment/Cumulative Reward", "Environment/Episode Length", "losses/value_loss"
    assert kept(tmp_path) == [
        ["property", "a-run", "HYPERPARAMETERS", {"learning_rate": 0.1}],
        ["stat", "a-run", loss, 0.5, "AVERAGE"],
        ["stat", "a-run", reward, 5.0, "AVERAGE"],
        ["stat", "a-run", length, 1.0, "AVERAGE"],
        ["property", "a-run", "HYPERPARAMETERS", {"learning_rate": 0.2}],
        ["stats", "a-run", {loss: [0.5], reward: [5.0], length: [1.0]}, 10],
        ["stat", "a-run", loss, 1.2, "AVERAGE"],
        ["stat", "a-run", reward, 12.0, "AVERAGE"],
        ["stat", "a-run", length, 1.0, "AVERAGE"],
        ["stats", "a-run", {loss: [1.2], reward: [12.0], length: [1.0]}, 12],
    ]


def test_a_writer_for_ml_agents_works_unchanged_though_ml_agents_is_not_there(
    open_feed, install_writer: InstallWriter, tmp_path
) -> None:
    install_writer("unchanged", UNCHANGED, group="mlagents.stats_writer")
    feed = open_feed()
    tell(feed, 2, 8, 10)
    assert notes_at_the_end(feed) == []
    assert printed(tmp_path).splitlines() == [
        "a-run with {'learning_rate': 0.1}",
        "a-run at 10: 5.0 of 2, 5.0",
        "a-run at 10: 10.0 of 1, 10.0",
    ]


THEIR_STATS = """
import abc, enum, typing
class StatsAggregationMethod(enum.Enum):
    AVERAGE = 0
class StatsPropertyType(enum.Enum):
    HYPERPARAMETERS = "hyperparameters"
class StatsSummary(typing.NamedTuple):
    full_dist: list
    aggregation_method: StatsAggregationMethod
    mean = property(lambda self: sum(self.full_dist) / len(self.full_dist))
    num = property(lambda self: len(self.full_dist))
    aggregated_value = mean
class StatsWriter(abc.ABC):
    pass
"""


def test_where_ml_agents_is_there_its_writers_are_given_its_own_values(
    open_feed, install_writer: InstallWriter, tmp_path
) -> None:
    root = install_writer("unchanged", UNCHANGED, group="mlagents.stats_writer")
    for name, source in {"stats": THEIR_STATS, "settings": "class RunOptions: pass"}.items():
        path = root / "mlagents" / "trainers" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    feed = open_feed()
    tell(feed, 2, 8)
    assert notes_at_the_end(feed) == []
    assert printed(tmp_path).splitlines() == ["a-run with {'learning_rate': 0.1}", "a-run at 8: 5.0 of 2, 5.0"]


def test_a_module_is_found_that_was_installed_after_the_run_actor_had_started(
    open_feed, install_writer: InstallWriter, tmp_path, monkeypatch
) -> None:
    install_writer("keeps", value="later:make")
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "later.py").write_text(KEEPS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "later"))  # as a file *.pth does, read when Python starts
    feed = open_feed()
    tell(feed, 5)
    assert notes_at_the_end(feed) == []
    assert kept(tmp_path)[-1][0] == "stats"


BROKEN = {
    "raises": ("def make():\n    raise ValueError('no server')", "ValueError: no server (raises_mod.py, line 2)"),
    "leaves": ("def make():\n    raise SystemExit(3)", "SystemExit: 3 (leaves_mod.py, line 2)"),
    "nothing": ("def make():\n    pass", "TypeError: it returned None, which is no list of stats writers"),
    "number": ("def make():\n    return [3]", "TypeError: it returned 3, which is no stats writer: it has no method"),
    "more": (
        "from mlagents.trainers.ppo import trainer\ndef make():\n    return []",
        "No module named 'mlagents.trainers.ppo' (more_mod.py, line 1); ML-Agents is not installed, and only the",
    ),
    "dies": ("import os\nos._exit(3)", "gets nothing more: its process has ended: exit code 3"),
}


def test_functions_that_are_broken_are_named_and_hurt_no_other(
    open_feed, install_writer: InstallWriter, tmp_path
) -> None:
    for name, (source, _) in BROKEN.items():
        install_writer(name, source)
    install_writer("keeps", KEEPS)
    feed = open_feed()
    tell(feed, 5)
    notes = notes_at_the_end(feed)
    assert len(notes) == len(BROKEN)
    for name, (_, why) in BROKEN.items():
        [note] = [each for each in notes if each.startswith(f"stats writer {name} of {name} 1.0 ")]
        assert why in note
    assert kept(tmp_path)[-1][0] == "stats"


def test_a_writer_that_ends_its_process_ends_only_itself(open_feed, install_writer: InstallWriter) -> None:
    exits = "import os\nclass Leaves:\n    def write_stats(self, category, values, step):\n        os._exit(5)\n"
    install_writer("leaves", exits + "def make():\n    return [Leaves()]")
    feed = open_feed()
    tell(feed, 5, 12)
    notes: list[str] = []
    wait_until(lambda: notes.extend(feed.take_notes()) or len(notes) > 1)  # the first one is the console's
    assert notes[1:] == ["stats writer leaves of leaves 1.0 gets nothing more: its process has ended: exit code 5"]
    tell(feed, 13)


HANGS = """
import time
from pathlib import Path
class Hangs:
    def __init__(self, path):
        self.path = path
    def write_stats(self, category, values, step):
        self.path.touch()
        time.sleep(600)
def make(options):
    return [Hangs(Path(options.checkpoint_settings.write_path) / "hangs")]
"""


def test_a_writer_that_hangs_holds_up_the_end_no_longer_than_it_may(
    open_feed, install_writer: InstallWriter, tmp_path
) -> None:
    install_writer("hangs", HANGS)
    feed = open_feed(end_timeout_s=0.5)
    tell(feed, 5, 12)
    feed.take_notes()
    wait_until((terms_path(tmp_path) / "hangs").exists)
    assert any("had not come to its end in time" in note for note in notes_at_the_end(feed))


def test_a_function_that_hangs_holds_up_the_end_no_longer_than_it_may(open_feed, install_writer: InstallWriter) -> None:
    install_writer("hangs", "import time\ndef make():\n    time.sleep(600)")
    feed = open_feed(end_timeout_s=0.5)
    tell(feed, *range(QUEUED))
    name = "stats writer hangs of hangs 1.0"
    assert notes_at_the_end(feed) == [
        f"{name} is not used: it was not ready in time",
        f"{name} has lost {QUEUED + 1} events: its process was too slow",
    ]


def test_the_example_is_installed_by_pip_and_told_what_a_run_logs(
    open_core, workspace, install_writer: InstallWriter, tmp_path, monkeypatch
) -> None:
    monkeypatch.syspath_prepend(str(install_example(tmp_path)))
    install_writer(
        "angry",
        "class Angry:\n    def write_stats(self, *told):\n        raise OSError('disk full')\n"
        "def make():\n    return [Angry()]",
    )
    assert [source.name for source in find_writers().sources] == ["angry", "summary_table"]
    core = open_core(summary_steps=20)
    keys = {"experiment": "x", "runner": "cleanrl", "script": "counter.py", "env_id": "CartPole-v1"}
    spec = ExperimentSpec.model_validate(keys | {"flags": {"total_timesteps": 50, "sleep_s": 0.0}})
    run = core.start(preflight.prepare(spec, base=SCRIPTS, runners=RUNNERS), force_new=True).run
    supervision = Supervision(core, runners=RUNNERS, node="here")
    supervision.start(run.run_id)
    assert until(supervision, lambda progress: progress.outcome).outcome is RunState.COMPLETED

    rows = list(csv.reader((workspace.run(run.name).root / "summaries.csv").read_text().splitlines()))
    told = [(int(step), int(num)) for step, key, num, *_ in rows if key == "losses/weight"]
    assert told == [(20, 20), (40, 20), (49, 10)]
    rewards = [(int(step), int(num)) for step, key, num, *_ in rows if key == "Environment/Cumulative Reward"]
    assert rewards == [(20, 2), (40, 2), (49, 1)]
    log = read_log(workspace.run(run.name).log).lines
    notes = [line["text"] for line in log if line["stream"] == "arena"]
    assert any(note.startswith("stats writer Angry of angry 1.0 was dropped: OSError: disk full") for note in notes)
    assert [note.partition(". ")[0] for note in notes if "Mean Reward: " in note] == [
        "Step: 20",
        "Step: 40",
        "Step: 49",
    ]
