"""The figures of tests/data/rliable.json are those of rliable 1.2.0, which is too large to be installed for a test.

They were made from the root of the repository with

    pip install --target DIR rliable==1.2.0 "pandas<3"
    PYTHONPATH=DIR python -m tests.data.make_rliable

and :func:`test_the_published_library_still_gives_these_figures` makes them anew where the library can be imported.
"""

from __future__ import annotations

import json

import pytest
from data.make_rliable import FILE, REPS, SEED, all_figures

from arena_ray.statistics import aggregates
from arena_ray.statistics.bootstrap import bootstrap_interval

CASES = json.loads(FILE.read_text())
AGGREGATES = ("interquartile_mean", "mean", "median", "optimality_gap")


@pytest.mark.parametrize("kind", AGGREGATES)
@pytest.mark.parametrize("case", CASES)
def test_aggregates_and_intervals_are_those_of_rliable_to_the_last_digit(case: str, kind: str) -> None:
    scores, figures, aggregate = CASES[case]["scores"], CASES[case][kind], getattr(aggregates, kind)
    assert float(aggregate(scores)) == pytest.approx(figures["point"], rel=1e-12)
    interval = bootstrap_interval(scores, aggregate, resamples=REPS, seed=SEED)
    assert list(interval) == pytest.approx(figures["interval"], rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_probability_of_improvement_is_that_of_rliable(case: str) -> None:
    scores, others = CASES[case]["scores"], CASES[case]["others"]
    expected = CASES[case]["probability_of_improvement"]
    assert aggregates.probability_of_improvement(scores, others) == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
def test_the_published_library_still_gives_these_figures() -> None:
    pytest.importorskip("rliable", reason="see the docstring of this module")
    assert all_figures() == CASES
