"""Write the figures that the published library rliable gives: see README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "rliable.json"
REPS = 2000
SEED = 7
SHAPES = {"one task": (7, 1), "three seeds": (3, 1), "four tasks": (5, 4), "many seeds": (20, 2)}


def scores_of(shape: tuple[int, int], *, shift: float = 0.0) -> list[list[float]]:
    """Return made-up scores of runs x tasks; some are equal."""
    drawn = np.random.RandomState(sum(shape)).normal(0.7 + shift, 0.4, size=shape)
    return [[round(float(score), 1) for score in row] for row in drawn]


def figures(scores: list[list[float]], others: list[list[float]]) -> dict[str, Any]:
    """Return what rliable makes of them."""
    from rliable import library, metrics

    ours, theirs = np.array(scores), np.array(others)
    kinds = {
        "interquartile_mean": metrics.aggregate_iqm,
        "mean": metrics.aggregate_mean,
        "median": metrics.aggregate_median,
        "optimality_gap": metrics.aggregate_optimality_gap,
    }
    found: dict[str, Any] = {"scores": scores, "others": others}
    for name, kind in kinds.items():
        np.random.seed(SEED)  # rliable draws from NumPy's own generator, whatever random_state it is given
        point, interval = library.get_interval_estimates(
            {"x": ours}, lambda drawn, kind=kind: np.array([kind(drawn)]), reps=REPS
        )
        found[name] = {"point": float(point["x"][0]), "interval": [float(end) for end in interval["x"][:, 0]]}
    found["probability_of_improvement"] = float(metrics.probability_of_improvement(ours, theirs))
    return found


def all_figures() -> dict[str, Any]:
    """Return the figures of each case."""
    return {name: figures(scores_of(shape), scores_of(shape, shift=-0.2)) for name, shape in SHAPES.items()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(all_figures(), indent=1) + "\n")
