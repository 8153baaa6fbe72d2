"""Where the weights of a run come from: from run to run, back to the one that began with fresh ones."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from arena_ray.cli.output import ABSENT, figure
from arena_ray.cli.ranking import Ranking, label, setting
from arena_ray.model.ancestry import ancestry
from arena_ray.model.states import ExploitCause, ExploitOutcome

if TYPE_CHECKING:
    from arena_ray.model.records import Exploit, Run
    from arena_ray.model.spec import FlagValue

_COLUMNS = 100


def changes(before: Mapping[str, FlagValue], after: Mapping[str, FlagValue], *, names: Iterable[str]) -> str:
    """Return what of *names* differs, as ``learning_rate 0.00031 → 0.00037``; empty where nothing does."""
    changed = [name for name in names if before.get(name) != after.get(name)]
    return ", ".join(f"{name} {_value(before, name)} → {_value(after, name)}" for name in changed)


def _value(values: Mapping[str, FlagValue], name: str) -> str:
    return setting(values[name]) if name in values else ABSENT


def exploit_sentence(exploit: Exploit, ranking: Ranking) -> str:
    """Return what happened in *exploit*, for people."""
    names = {run.run_id: label(run) for run in ranking.lineage.runs}
    if exploit.cause is ExploitCause.SCHEDULE:
        return _change_sentence(exploit, ranking, run=names.get(exploit.run_id, exploit.run_id))
    clone, donor = names.get(exploit.run_id, exploit.run_id), names.get(exploit.donor_run_id, exploit.donor_run_id)
    verb, ending = {
        ExploitOutcome.COMMITTED: ("is to take", ""),
        ExploitOutcome.APPLIED: ("took", ""),
        ExploitOutcome.FAILED: ("could not take", f" ({exploit.reason or 'no reason given'})"),
        ExploitOutcome.ABANDONED: ("took", "; it was undone when the run went back to a checkpoint before it"),
    }[exploit.outcome]
    changed = changes(exploit.hyperparameters_before, exploit.hyperparameters, names=ranking.tuned)
    told = ", ".join(fact for fact in (_improvement(exploit, ranking), changed) if fact)
    return f"{clone} {verb} over {donor}'s weights at step {exploit.global_step:,}: {told}{ending}"


def _change_sentence(exploit: Exploit, ranking: Ranking, *, run: str) -> str:
    verb, ending = {
        ExploitOutcome.COMMITTED: ("is to change", ""),
        ExploitOutcome.APPLIED: ("changed", ""),
        ExploitOutcome.FAILED: ("could not change", f" ({exploit.reason or 'no reason given'})"),
        ExploitOutcome.ABANDONED: ("changed", "; it was undone when the run went back to a checkpoint before it"),
    }[exploit.outcome]
    changed = changes(exploit.hyperparameters_before, exploit.hyperparameters, names=ranking.tuned) or "nothing"
    return f"{run} {verb} by its schedule at step {exploit.global_step:,}: {changed}{ending}"


def _improvement(exploit: Exploit, ranking: Ranking) -> str:
    before = "diverged" if exploit.cause is ExploitCause.DIVERGED else figure(exploit.score)
    return f"{ranking.metric_name} {before} → {figure(exploit.donor_score)}"


def ancestry_lines(ranking: Ranking, run: Run) -> list[str]:
    """Return the ancestry of *run* with the schedule of its hyperparameters, oldest first, to 100 columns."""
    stages = ancestry(ranking.lineage, run)
    first = ", ".join(f"{name} {_value(stages[0].hyperparameters, name)}" for name in ranking.tuned)
    told = [(stages[0].step, f"{label(stages[0].run)} begins" + (f" with {first}" if first else ""))]
    for before, stage in pairwise(stages):
        changed = changes(before.hyperparameters, stage.hyperparameters, names=ranking.tuned) or "nothing changed"
        if stage.exploit and stage.exploit.cause is ExploitCause.SCHEDULE:
            told.append((stage.step, f"{label(stage.run)} goes on by its schedule: {changed}"))
            continue
        gain = f" ({_improvement(stage.exploit, ranking)})" if stage.exploit else ""
        told.append((stage.step, f"{label(stage.run)} takes over from {label(before.run)}{gain}: {changed}"))
    told.append((run.global_step, f"{label(run)} is {run.state.value}, {_standing(ranking, run)}"))
    return [line for step, text in told for line in _wrapped(step, text)]


def _standing(ranking: Ranking, run: Run) -> str:
    return f"{ranking.metric_name} {figure(ranking.score(run))}"


def _wrapped(step: int, text: str) -> list[str]:
    head = f"  step {step:>11,}  "
    return textwrap.wrap(text, _COLUMNS, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False)
