"""What a study with several seeds for each sample has come to, as a note for people."""

from __future__ import annotations

import math

from arena_ray.model.configurations import Configuration
from arena_ray.plugin.study import Saving, StudyResult

_SHOWN = 20


def seed_report(result: StudyResult) -> str:
    """Return the ranking with its intervals, whether the winner is clear, and what a race has saved: some lines."""
    ranked = result.configurations
    lines = [_headline(result)]
    lines += [f"{place}. {_line(each)}" for place, each in enumerate(ranked[:_SHOWN], start=1)]
    if len(ranked) > _SHOWN:
        lines.append(f"and {len(ranked) - _SHOWN} more")
    if result.saving is not None:
        lines.append(_saved(result.saving))
    return "\n".join(lines)


def _headline(result: StudyResult) -> str:
    ranked = result.configurations
    noun = "configuration" if len(ranked) == 1 else "configurations"
    tried = f"{len(ranked)} {noun} in {sum(len(each.seeds) for each in ranked)} runs"
    if not math.isfinite(ranked[0].iqm):
        return f"{tried}: none has a score for three quarters of its seeds, so none is the best"
    if result.is_clear is None:
        return f"{tried}, ranked by their interquartile means:"
    if result.is_clear:
        return f"{tried}: the best is clear, no other interval overlaps its own:"
    return f"{tried}: the best is not clear, intervals overlap its own at the most seeds that were allowed:"


def _line(each: Configuration) -> str:
    values = ", ".join(f"{name} {_figure(value)}" for name, value in each.hyperparameters.items()) or "as in the file"
    parts = [f"IQM {_figure(each.iqm)} [{_figure(each.low)}, {_figure(each.high)}]", f"{len(each.seeds)} seeds"]
    if each.missing:
        parts.append(f"{each.missing} without a score, counted as worse than all")
    if math.isfinite(each.probability_of_improvement):
        parts.append(f"better than the next with probability {each.probability_of_improvement:.2f}")
    return f"{values}: {'; '.join(parts)}"


def _saved(saving: Saving) -> str:
    unit = f"{saving.unit}-hours"
    return (
        f"{saving.used_runs} runs took {_figure(saving.used_hours)} {unit}; about {_figure(saving.saved_hours)} {unit} "
        f"were saved by {saving.saved_runs} runs that were not made. That is an estimate: "
        "each of these would have lasted as long as the runs of its configuration did on average."
    )


def _figure(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
