"""The lines that a benchmark prints: a median, the least and the most, and what is hoped for."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def summary(values: Sequence[float]) -> str:
    return f"{statistics.median(values):10.3f}  ({min(values):.3f} to {max(values):.3f})"


def row(what: str, values: Sequence[float], goal: str = "") -> None:
    print(f"{what:52} {summary(values)}  {goal}", flush=True)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return ours / theirs, round by round: what slows a round slows both."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def percentiles_row(what: str, values: Sequence[float], goal: str = "") -> None:
    if not values:
        print(f"{what:52} none", flush=True)
        return
    p50, p95 = percentile(values, 0.5), percentile(values, 0.95)
    print(f"{what:52} p50 {p50:8.3f}  p95 {p95:8.3f}  ({len(values)})  {goal}", flush=True)
