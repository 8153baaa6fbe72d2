"""docs/reference/stats-writers.md says what the door for stats writers says."""

from __future__ import annotations

import inspect
import sys
import tomllib
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from docs.pages import ROOT, code, codes, page, table

from arena_ray.plugin import stats_writer
from arena_ray.plugin.mlagents import STATS, stand_in
from arena_ray.plugin.stats_writer import (
    RunOptions,
    StatsAggregationMethod,
    StatsPropertyType,
    StatsSummary,
    StatsWriter,
)
from arena_ray.telemetry import stats_feed, writer_thread, writers

PAGE = page("reference/stats-writers.md")
EXAMPLE = ROOT / "docs" / "examples" / "stats_writer_plugin"
GROUPS = {stats_writer.GROUP, stats_writer.ML_AGENTS_STATS_WRITER}


def properties(kind: type) -> set[str]:
    return {name for name, value in vars(kind).items() if isinstance(value, property)}


def attributes(kind: Any, prefix: str = "") -> set[str]:
    found = {prefix + name for name in properties(kind)}
    for name, hint in get_type_hints(kind).items():
        found |= attributes(hint, f"{prefix}{name}.") if is_dataclass(hint) else {prefix + name}
    return found


def test_groups() -> None:
    assert {code(row[0]) for row in table(PAGE.section("Announced"))} == GROUPS


def test_methods_and_what_a_summary_tells() -> None:
    methods = {
        f"{name}({', '.join(list(inspect.signature(method).parameters)[1:])})"
        for name, method in vars(StatsWriter).items()
        if inspect.isfunction(method)
    }
    told = [code(row[0]) for row in table(PAGE.section("Methods"))]
    assert set(told) == methods | set(StatsSummary._fields) | properties(StatsSummary)
    assert {each.name for each in (*StatsAggregationMethod, *StatsPropertyType)} <= set(codes(PAGE.section("Methods")))


def test_options() -> None:
    assert {code(row[0]) for row in table(PAGE.section("Options"))} == attributes(RunOptions)


def test_limits() -> None:
    section = PAGE.section("Where a writer runs")
    assert writer_thread.QUEUED == writers.QUEUED
    for limit in (
        f"{writer_thread.QUEUED} calls",
        f"{writers.LOAD_TIMEOUT_S:g} s",
        f"{stats_feed.END_TIMEOUT_S:g} s",
        f"`{writers.STREAM}.log`",
    ):
        assert limit in section


def test_names_of_ml_agents(monkeypatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mlagents", "mlagents_envs")]:
        monkeypatch.delitem(sys.modules, name)
    told = set(codes(PAGE.section("Without ML-Agents")))
    made = stand_in()
    try:
        assert STATS in made
        for name in made:
            names = {each for each in vars(import_module(name)) if not each.startswith("__")}
            names -= {each.rpartition(".")[2] for each in made}
            assert names <= told
            assert not names or name in told
    finally:
        for name in made:
            del sys.modules[name]


def test_the_example_announces_a_function_that_it_has() -> None:
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    assert points.keys() == GROUPS
    for [value] in (list(names.values()) for names in points.values()):
        module, _, function = value.partition(":")
        names: dict[str, Any] = {}
        exec((EXAMPLE / f"{module}.py").read_text(), names)
        [writer] = names[function](options_in(Path("/results")))
        assert isinstance(writer, StatsWriter)


def options_in(results: Path) -> RunOptions:
    return RunOptions(
        stats_writer.CheckpointSettings(run_id="a-run", results_dir=str(results), resume=False),
        stats_writer.EnvironmentSettings(seed=1),
        stats_writer.RunFacts("id", 1, "x", 1, "cleanrl", "ppo", "CartPole-v1", {}),
    )
