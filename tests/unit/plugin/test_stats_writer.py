from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_ray.plugin.stats_writer import (
    CheckpointSettings,
    EnvironmentSettings,
    RunFacts,
    RunOptions,
    StatsAggregationMethod,
    StatsSummary,
    StatsWriter,
    options_from_data,
)

AVERAGE, SUM = StatsAggregationMethod.AVERAGE, StatsAggregationMethod.SUM
NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20)


@given(NUMBERS)
def test_a_summary_says_of_its_values_what_numpy_says(values: list[float]) -> None:
    summary = StatsSummary(values, AVERAGE)
    assert summary.num == len(values)
    assert summary.mean == pytest.approx(np.mean(values), abs=1e-6)
    assert summary.std == pytest.approx(np.std(values), abs=1e-6)
    assert summary.sum == pytest.approx(np.sum(values), abs=1e-6)


@given(st.lists(st.floats(), max_size=5))
def test_no_value_makes_a_summary_raise(values: list[float]) -> None:
    summary = StatsSummary(values, AVERAGE)
    assert all(isinstance(number, float) for number in (summary.mean, summary.std, summary.sum))


def test_the_method_says_what_stands_for_all_values() -> None:
    assert StatsSummary([1.0, 2.0], SUM).aggregated_value == 3.0
    assert StatsSummary([1.0, 2.0], AVERAGE).aggregated_value == 1.5


def test_what_was_not_measured_is_not_a_number() -> None:
    empty = StatsSummary.empty()
    assert (empty.num, empty.sum) == (0, 0.0)
    assert math.isnan(empty.mean)
    assert math.isnan(empty.std)


def test_a_writer_must_write_and_need_not_do_anything_else() -> None:
    class Silent(StatsWriter):
        pass

    class Enough(StatsWriter):
        def write_stats(self, category, values, step):
            return None

    with pytest.raises(TypeError, match="write_stats"):
        Silent()
    Enough().on_add_stat("run", "key", 1.0)


def test_options_arrive_in_another_process_as_they_were() -> None:
    options = RunOptions(
        CheckpointSettings(run_id="a-run", results_dir="/results", resume=True),
        EnvironmentSettings(seed=3),
        RunFacts("id", 2, "x", 1, "cleanrl", "ppo", "CartPole-v1", {"learning_rate": 0.1}),
    )
    assert options_from_data(options.as_dict()) == options
    assert options.checkpoint_settings.write_path == "/results/a-run"
