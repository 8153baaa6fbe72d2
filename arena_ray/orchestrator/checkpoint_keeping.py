"""Checkpoints as the orchestrator keeps them: registered once, thinned out by the revision's policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from arena_ray.model.events import CheckpointSaved
from arena_ray.model.records import Checkpoint, Run
from arena_ray.model.spec import CheckpointPolicy
from arena_ray.model.states import ExploitOutcome
from arena_ray.orchestrator.resumption import record_left_out
from arena_ray.registry.store import Store
from arena_ray.runner.checkpoint_files import remove_checkpoint_files


def expendable(checkpoints: Sequence[Checkpoint], policy: CheckpointPolicy) -> list[Checkpoint]:
    """Return those of *checkpoints*, newest first, that *policy* does not keep.

    The final one is always kept. Best is the highest ``episodic_return``; one without a return is never the best.
    """
    latest = list(checkpoints[: policy.keep_latest])
    measured = [checkpoint for checkpoint in checkpoints if not math.isnan(checkpoint.episodic_return)]
    best = sorted(measured, key=lambda checkpoint: checkpoint.episodic_return, reverse=True)[: policy.keep_best]
    every = _first_of_each(checkpoints, steps=policy.keep_every)
    kept = {checkpoint.checkpoint_id for checkpoint in (*latest, *best, *every)}
    return [c for c in checkpoints if c.checkpoint_id not in kept and not c.is_final]


def _first_of_each(checkpoints: Sequence[Checkpoint], *, steps: int) -> list[Checkpoint]:
    """Return the first checkpoint at or after each multiple of *steps*, 0 itself not among them."""
    if not steps:
        return []
    first = {checkpoint.global_step // steps: checkpoint for checkpoint in checkpoints}  # the oldest comes last
    return [checkpoint for multiple, checkpoint in first.items() if multiple]


def register_checkpoint(
    store: Store, run: Run, attempt: int, event: CheckpointSaved, *, metrics_digest: str, episodic_return: float
) -> None:
    """Record a checkpoint that *attempt* has written, unless it is recorded already, and delete what it replaces.

    Those stay that other runs may take over, or that a run would come back to on the way to such an exploit.

    Raises:
        StaleAttempt: A newer attempt has taken over.
    """
    if any(checkpoint.uri == event.uri for checkpoint in store.list_checkpoints(run.run_id)):
        return  # the batch was sent twice
    told = {name: value for name, value in vars(event).items() if name != "left_out"}
    store.add_checkpoint(
        run.run_id, attempt=attempt, metrics_digest=metrics_digest, episodic_return=episodic_return, **told
    )
    record_left_out(store, run, attempt=attempt, left_out=event.left_out)
    if event.generation > run.generation:
        _settle(store, run, attempt=attempt, generation=event.generation)
    thin_out(store, run, newest=event.uri)


def _settle(store: Store, run: Run, *, attempt: int, generation: int) -> None:
    """Record an exploit as applied that a checkpoint contains and whose attempt had no time to tell of it."""
    for exploit in store.list_exploits(run_id=run.run_id):
        if exploit.generation == generation and exploit.outcome is ExploitOutcome.COMMITTED:
            store.settle_exploit(run.run_id, attempt=attempt, generation=generation, outcome=ExploitOutcome.APPLIED)


def thin_out(store: Store, run: Run, *, newest: str | None = None) -> None:
    """Delete the run's checkpoints that nobody needs; *newest* is kept wherever it lies.

    It may lie behind others, damaged ones, that the run went back from.
    """
    revision = store.get_revision(run.revision_id)
    if revision is None:
        return
    held = store.held_checkpoints(run.run_id)
    for checkpoint in expendable(store.list_checkpoints(run.run_id), revision.checkpoint):
        if checkpoint.checkpoint_id not in held and checkpoint.uri != newest:
            store.remove_checkpoint(checkpoint.checkpoint_id, reason="retention")
            remove_checkpoint_files(Path(checkpoint.uri))
