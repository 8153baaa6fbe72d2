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
    tried = f"{_count(len(ranked), 'configuration')} in {_count(sum(len(each.seeds) for each in ranked), 'run')}"
    if not math.isfinite(ranked[0].iqm):
        return f"{tried}: none has a score for three quarters of its seeds, so none is the best"
    if result.is_clear is None:
        return f"{tried}, ranked by their interquartile means:"
    if result.is_clear:
        return f"{tried}: the best is clear, no other interval overlaps its own:"
    return f"{tried}: the best is not clear, intervals overlap its own at the most seeds that were allowed:"


def _line(each: Configuration) -> str:
    values = ", ".join(f"{name} {_figure(value)}" for name, value in each.hyperparameters.items()) or "as in the file"
    parts = [f"IQM {_figure(each.iqm)} [{_figure(each.low)}, {_figure(each.high)}]", _count(len(each.seeds), "seed")]
    if each.missing:
        parts.append(f"{each.missing} without a score, counted as worse than all")
    if math.isfinite(each.probability_of_improvement):
        parts.append(f"better than the next with probability {each.probability_of_improvement:.2f}")
    return f"{values}: {'; '.join(parts)}"


def _saved(saving: Saving) -> str:
    used, saved = (f"{_figure(hours)} {saving.unit}-hours" for hours in (saving.used_hours, saving.saved_hours))
    made, never_made = _count(saving.used_runs, "run"), _count(saving.saved_runs, "run")
    return (
        f"{made} took {used}; about {saved} were saved by {never_made} not made. "
        "That is an estimate: each would have lasted as long as the runs of its configuration did on average."
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _figure(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
